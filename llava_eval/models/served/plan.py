"""A served model, found and checked before anything is asked of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llava_eval.errors import ConfigError
from llava_eval.models.http import Client, is_this_machine
from llava_eval.models.served.server import Dialect, Server, find_server
from llava_eval.models.served.settings import ServerSettings

_log = logging.getLogger(__name__)

_WORDS = {
    "images": "one image for each sampled frame: another prompt than that of one video",
    "video": "one video of exactly the sampled frames",
    "url": "their own addresses: the server samples them",
}


@dataclass(frozen=True)
class ServedPlan:
    """Which served model is asked, and how videos are shown to it.

    Attributes:
        settings: where it is and how it may be asked.
        server: what answers there.
        video_as: "images", "video" or "url".
    """

    settings: ServerSettings
    server: Server
    video_as: str

    @property
    def words(self) -> str:
        """How videos are shown, for messages."""
        return _WORDS[self.video_as]

    def identity(self) -> dict[str, Any]:
        """Return what can change a generation; where the server is does not."""
        settings = self.settings
        return {
            "model": {
                "served": settings.model,
                "server": self.server.describe(),
                "video_as": self.video_as,
                "image_format": settings.image_format,
                "jpeg_quality": settings.jpeg_quality if settings.image_format == "jpeg" else None,
            }
        }

    def describe(self) -> dict[str, Any]:
        """Return the manifest's record of the model."""
        return {
            "checkpoint": self.settings.model,
            "base_url": self.settings.base_url,
            **self.identity()["model"],
        }

    def check_protocol(self, *, has_prefill: bool, has_options: bool) -> None:
        """Raise for what a protocol needs and the server does not offer.

        Args:
            has_prefill: the assistant's turn already begins with a text.
            has_options: likelihoods of given texts are asked for.

        Raises:
            ConfigError: in one line, what is missing.
        """
        label = self.server.dialect.label
        if has_options and not self.server.dialect.prompt_logprobs:
            raise ConfigError(
                "this protocol compares likelihoods, for which a server has to return the "
                f"log-probabilities of a prompt: {label} does not, vLLM does (prompt_logprobs)"
            )
        if has_options and not self.settings.end_token:
            raise ConfigError(
                "this protocol compares likelihoods, which count the token that ends the "
                "assistant's turn: model.server.end_token takes its text, for instance '</s>'"
            )
        if has_prefill and not self.server.dialect.continues_turns:
            raise ConfigError(
                "this protocol begins the assistant's turn (benchmark.assistant_prefill), which "
                f"{label} cannot continue; vLLM and SGLang can (continue_final_message)"
            )


def plan_served(settings: ServerSettings) -> ServedPlan:
    """Ask the server what it is, and choose how videos are shown to it.

    Raises:
        CheckpointError: nobody answers, the key is refused, or it serves other models only.
        ConfigError: a key is missing, or videos cannot be shown as asked.
    """
    client = open_client(settings)
    try:
        server = find_server(client, settings)
        _check_videos(settings, server.dialect)
        plan = ServedPlan(settings, server, _video_as(settings, server, client))
    finally:
        client.close()
    _log.info("%s is %s; videos go as %s", settings.base_url, server.dialect.label, plan.words)
    return plan


def open_client(settings: ServerSettings) -> Client:
    """Return a client for the server.

    Raises:
        ConfigError: the ``openai`` package is missing, or a key is.
    """
    return Client(
        settings.base_url,
        settings.key(),
        settings.timeout_seconds,
        "model=openai_server needs the openai package: pip install 'llava-eval[server]'",
    )


def _check_videos(settings: ServerSettings, dialect: Dialect) -> None:
    if settings.clip_dir is not None and not Path(settings.clip_dir).is_dir():
        raise ConfigError(f"model.server.clip_dir={settings.clip_dir} is no folder")
    if settings.video_as == "video" and dialect.video is None:
        raise ConfigError(
            f"model.server.video_as=video: {dialect.label} takes no video of given frames; use "
            "images, or url for the video's own address"
        )
    if settings.video_as == "video" and not _is_possible(settings, dialect):
        raise ConfigError(
            f"model.server.video_as=video: {dialect.label} reads videos from files only; "
            "model.server.clip_dir names a folder that it sees under the same path"
        )


def _is_possible(settings: ServerSettings, dialect: Dialect) -> bool:
    """Return whether a video of given frames can be sent; files need a folder that both see."""
    has_folder = settings.clip_dir is not None or is_this_machine(settings.base_url)
    return dialect.video == "frames" or (dialect.video == "clip" and has_folder)


def _video_as(settings: ServerSettings, server: Server, client: Client) -> str:
    if settings.video_as != "auto":
        return settings.video_as
    if not _is_possible(settings, server.dialect):
        return "images"
    if server.dialect.video == "clip":
        from llava_eval.models.served.trial import why_no_clips

        reason = why_no_clips(ServedPlan(settings, server, "video"), client)
        if reason is not None:
            _log.warning(
                "%s cannot read videos from files (transformers serve needs torchcodec and FFmpeg "
                "for that): %s",
                settings.base_url,
                reason,
            )
            return "images"
    return "video"
