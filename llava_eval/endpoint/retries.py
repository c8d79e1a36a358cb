"""How long to wait before the same request is sent again."""

from __future__ import annotations

import random

from llava_eval.endpoint.client import RequestError

#: An endpoint that asks for a longer pause than this counts as failed.
LONGEST_WAIT_SECONDS = 600.0
_LONGEST_BACKOFF_SECONDS = 60.0

_random = random.Random(0)  # spreads retries out; no result depends on it


def pause_seconds(attempt: int, error: RequestError, backoff_seconds: float) -> float | None:
    """Return how long to wait before the next attempt; None: too long.

    Args:
        attempt: number of the one that failed, from 0.
        error: how it failed; what the endpoint asks for is the least.
        backoff_seconds: wait after the first attempt; doubles with each, up to a minute.
    """
    asked = error.wait_seconds or 0.0
    if asked > LONGEST_WAIT_SECONDS:
        return None
    backoff = min(_LONGEST_BACKOFF_SECONDS, backoff_seconds * 2.0**attempt)
    return max(asked, backoff * _random.uniform(0.75, 1.25))
