"""Imported by the fork server of :mod:`tests.processes`: what every command composes is known."""

from __future__ import annotations

from llava_eval.config.compose import compose_config

compose_config([])
