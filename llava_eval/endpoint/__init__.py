"""HTTP endpoints that speak OpenAI's protocol: addresses, keys, requests, failures and retries."""

from llava_eval.endpoint.address import NO_KEY, check_address, check_variable, read_key
from llava_eval.endpoint.client import Client, RequestError
from llava_eval.endpoint.retries import pause_seconds

__all__ = [
    "NO_KEY",
    "Client",
    "RequestError",
    "check_address",
    "check_variable",
    "pause_seconds",
    "read_key",
]
