"""A connection to a cluster with the workers that were started there.

A run opens one and closes it. The runs of a sweep share one, so that workers start once and a
checkpoint that several runs use is read once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from llava_eval.config.schema import EngineConfig
from llava_eval.engine.ray.cluster import (
    Share,
    choose_share,
    connect,
    disconnect,
    node_resources,
    wait_for_resources,
)
from llava_eval.engine.ray.workers import Crew


@dataclass(eq=False)
class Session:
    """The cluster as one process uses it.

    Attributes:
        config, device: what it was opened for.
        share: what each worker may use.
        crew: the workers.
        is_idle: no worker has anything to do; a session that is left in the middle is not shared.
    """

    config: EngineConfig
    device: str
    share: Share
    crew: Crew
    is_idle: bool = True


_open: list[Session] = []
_is_kept = False


def open_session(config: EngineConfig, device: str) -> Session:
    """Return the session that is open, if it suits, or open one.

    Raises:
        LlavaEvalError: there is no such cluster, or it lacks what the workers need.
    """
    for session in _open:
        if (session.config, session.device) == (config, device) and session.is_idle:
            return session
    close_sessions()
    connect(config)
    try:
        share = choose_share(config, device, node_resources())
        wait_for_resources(share, config.start_timeout_seconds)
        session = Session(config, device, share, Crew(share, config))
    except BaseException:
        disconnect()
        raise
    _open.append(session)
    return session


def release_sessions() -> None:
    """Close what is open, unless a sweep wants to go on with it."""
    if not _is_kept:
        close_sessions()


def close_sessions() -> None:
    """End all workers and leave the cluster."""
    while _open:
        _open.pop().crew.close()
        disconnect()


@contextmanager
def sessions_kept() -> Iterator[None]:
    """Keep sessions open from run to run while the block runs."""
    global _is_kept
    _is_kept = True
    try:
        yield
    finally:
        _is_kept = False
        close_sessions()
