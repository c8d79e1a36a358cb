"""Why a fast path gives up in favour of the sequential decode."""

from __future__ import annotations


class UntrustedError(Exception):
    """The packets do not tell for sure which frames a plain decode shows."""


class DamagedError(UntrustedError):
    """The decoder had to conceal damage, and what it conceals with depends on earlier frames."""
