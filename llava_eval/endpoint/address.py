"""Where an endpoint is and with which key it is asked; the key itself is never shown."""

from __future__ import annotations

import os
import re
from urllib.parse import SplitResult, urlsplit

from llava_eval.errors import ConfigError

#: What a server that asks for no key gets instead of one.
NO_KEY = "no-key"

OPENAI_HOST = "api.openai.com"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_address(address: str, *, key: str) -> None:
    """Raise ConfigError for an address that is none, or that holds a secret.

    Args:
        address: an endpoint up to and without ``/chat/completions``.
        key: of the configuration, for messages.
    """
    url = _parts(address, key)
    if url.username or url.password or url.query:
        raise ConfigError(
            f"{key} must not hold a user name, a password or a query: it is written "
            "into the run's files; the key belongs into an environment variable"
        )
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ConfigError(
            f"{key} is {address!r}; expected http(s)://host[:port]/path, for "
            "instance http://localhost:8000/v1"
        )


def check_variable(variable: str, *, key: str) -> None:
    """Raise ConfigError for what cannot be the name of an environment variable."""
    if not _VARIABLE.fullmatch(variable):
        # The value is not repeated: it may be the key itself.
        raise ConfigError(
            f"{key} takes the name of an environment variable, letters, digits and "
            "underscores; the key itself belongs into that variable"
        )


def is_openai(address: str) -> bool:
    """Return whether an address is OpenAI's own."""
    return urlsplit(address).hostname == OPENAI_HOST


def is_this_machine(address: str) -> bool:
    """Return whether an address is surely of this machine."""
    host = urlsplit(address).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def read_key(variable: str, address: str, *, who: str, hint: str) -> str:
    """Return the key from the environment, or ``NO_KEY`` where it is not set.

    Args:
        variable: name of the environment variable.
        address: of the endpoint.
        who, hint: who needs the key, and which settings change that, for the message.

    Raises:
        ConfigError: OpenAI's own endpoint is asked and the variable is not set.
    """
    found = os.environ.get(variable, "").strip()
    if found:
        return found
    if is_openai(address):
        raise ConfigError(
            f"the environment variable {variable} is not set, and {who} at {address} needs a key "
            f"({hint})"
        )
    return NO_KEY


def _parts(address: str, key: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError as error:
        raise ConfigError(f"{key} is no address: {error}") from error
