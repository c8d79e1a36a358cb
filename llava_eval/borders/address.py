"""Checks of an endpoint's address, and reading of its API key, which is never shown."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import urllib.request
from urllib.parse import urlsplit

from llava_eval.errors import ConfigError, without_secrets

#: Placeholder sent to a server that needs no API key.
NO_KEY = "no-key"

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXPECTED = "expected http(s)://host[:port]/path, for instance http://localhost:8000/v1"


def check_address(address: str, *, key: str) -> None:
    """Check that an address is valid and contains no secret.

    Args:
        address: an endpoint up to and without ``/chat/completions``.
        key: configuration key of the address, for messages.

    Raises:
        ConfigError: it is not; the message does not contain the secret.
    """
    if any(mark in address for mark in "@?#;&"):
        raise ConfigError(
            f"{key} must not hold a user name, a password or a query: it is written "
            "into the run's files; the key belongs into an environment variable"
        )
    try:
        url = urlsplit(address)
        host = (url.hostname or "").encode("idna")  # fails for impossible names such as "a..b"
        is_good = url.scheme in ("http", "https") and host != b"" and url.port != 0
    except ValueError:
        is_good = False
    if not is_good or not address.isprintable() or " " in address:
        # The value is not repeated, because it may be the API key itself.
        raise ConfigError(f"{key} is not an address; {_EXPECTED}")
    if address.rstrip("/").endswith("/chat/completions"):
        raise ConfigError(f"{key} ends before /chat/completions, which is added; {_EXPECTED}")


def check_variable(variable: str, *, key: str) -> None:
    """Check that a value can be the name of an environment variable.

    Args:
        variable: the name.
        key: configuration key of the value, for messages.

    Raises:
        ConfigError: it cannot; the message does not contain it, because it may be the API key.
    """
    if not _VARIABLE.fullmatch(variable):
        raise ConfigError(
            f"{key} takes the name of an environment variable, letters, digits and "
            "underscores; the key itself belongs into that variable"
        )


def is_openai(address: str) -> bool:
    """Return whether an address is OpenAI's own."""
    return urlsplit(address).hostname == "api.openai.com"


def is_this_machine(address: str) -> bool:
    """Return whether an address certainly belongs to this machine."""
    host = urlsplit(address).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def by_proxy(address: str) -> str:
    """Return a hint for messages that the environment's proxy may have answered, if it is used.

    Args:
        address: address of the endpoint.
    """
    parts, proxies = urlsplit(address), urllib.request.getproxies()
    proxy, host = proxies.get(parts.scheme) or proxies.get("all"), parts.hostname or ""
    is_named = urllib.request.proxy_bypass(parts.netloc)  # NO_PROXY may name the port
    if not proxy or is_named or _is_of_network(host, proxies.get("no", "")):
        return ""
    return f"; asked by way of the proxy {without_secrets(proxy)} (NO_PROXY={host} goes without)"


def _is_of_network(host: str, no_proxy: str) -> bool:
    """Return whether NO_PROXY has a network with the host (10.0.0.0/8), which urllib ignores."""
    networks = [name.strip() for name in no_proxy.split(",") if "/" in name]
    for network in networks:
        with contextlib.suppress(ValueError):  # a host name, or not a network
            if ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False):
                return True
    return False


def read_key(variable: str, address: str, *, part: str, name: str) -> str:
    """Return the API key from the environment, or ``NO_KEY`` if it is not set.

    Args:
        variable: name of the environment variable.
        address: address of the endpoint.
        part: part of the configuration, "judge" or "model", for messages.
        name: name of the model, for messages.

    Raises:
        ConfigError: the variable is not set although the endpoint is OpenAI's own, or its value
            cannot be a key.
    """
    result = os.environ.get(variable, "").strip()
    if result and not (result.isascii() and result.isprintable()):
        raise ConfigError(
            f"the environment variable {variable} holds characters that no key has "
            f"({part}.api_key_env names another variable)"
        )
    if result:
        return result
    if is_openai(address):
        raise ConfigError(
            f"the environment variable {variable} is not set, and the {part} {name} at {address} "
            f"needs a key ({part}.api_key_env names another variable, {part}.base_url another "
            "endpoint)"
        )
    return NO_KEY
