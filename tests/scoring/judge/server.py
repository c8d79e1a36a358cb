"""A judge on this machine."""

from __future__ import annotations

from tests.models.chat_server import Answer, Behaviour, failure, reply, serving
from tests.models.chat_server import ChatServer as JudgeServer

__all__ = ["Answer", "Behaviour", "JudgeServer", "failure", "reply", "serving"]
