"""HTTP endpoints that speak OpenAI's protocol: addresses, keys, requests, failures and retries."""

from llava_eval.endpoint.address import NO_KEY
from llava_eval.endpoint.client import Client, RequestError
from llava_eval.endpoint.completion import Completion, read_completion
from llava_eval.endpoint.retries import pause_seconds
from llava_eval.endpoint.settings import EndpointSettings

__all__ = [
    "NO_KEY",
    "Client",
    "Completion",
    "EndpointSettings",
    "RequestError",
    "pause_seconds",
    "read_completion",
]
