"""Where a served model is and how it may be asked."""

from __future__ import annotations

from dataclasses import dataclass

from llava_eval.endpoint import check_address, check_variable, read_key


@dataclass(frozen=True)
class ServerSettings:
    """A served model; the key is read from the environment and kept nowhere.

    Attributes:
        model: name that the server knows the model by.
        base_url: the server's address up to and without ``/chat/completions``.
        api_key_env: name of the environment variable that holds the key.
        kind: what the server is; "auto" asks it.
        video_as: "images" (each sampled frame is an image of its own), "video" (the sampled frames
            are one video), "url" (the video's own address; the server samples it), or "auto":
            a video where the server is known to take one of exactly these frames.
        image_format: "png" keeps pixels exactly; "jpeg" is smaller.
        jpeg_quality: 1 to 95.
        clip_dir: folder that this process and the server both see under this path, for videos that
            a server only reads from files; None is a temporary one for servers of this machine.
        end_token: text of the token that ends the assistant's turn, for likelihoods.
        concurrency: requests under way at once.
        retries: further attempts at a request that failed in a way that may pass.
        backoff_seconds: wait before the first further attempt; doubles with each.
        timeout_seconds: longest wait for the server's next byte.
    """

    model: str
    base_url: str
    api_key_env: str = "OPENAI_API_KEY"
    kind: str = "auto"
    video_as: str = "auto"
    image_format: str = "png"
    jpeg_quality: int = 95
    clip_dir: str | None = None
    end_token: str | None = None
    concurrency: int = 8
    retries: int = 5
    backoff_seconds: float = 1.0
    timeout_seconds: float = 300.0

    def __post_init__(self) -> None:
        check_variable(self.api_key_env, key="model.api_key_env")
        check_address(self.base_url, key="model.base_url")

    def key(self) -> str:
        """Return the key from the environment.

        Raises:
            ConfigError: OpenAI's own endpoint is asked and the variable is not set.
        """
        return read_key(
            self.api_key_env,
            self.base_url,
            who=f"the model {self.model}",
            hint="model.api_key_env names another variable, model.base_url another server",
        )
