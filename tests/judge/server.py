"""A judge on this machine."""

from __future__ import annotations

from tests.endpoint.server import Answer, Behaviour, failure, reply, serving
from tests.endpoint.server import ChatServer as JudgeServer

__all__ = ["Answer", "Behaviour", "JudgeServer", "failure", "reply", "serving"]
