"""A served model, found and checked before anything is asked of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llava_eval.borders.address import is_this_machine, read_key
from llava_eval.config.schema import ModelConfig
from llava_eval.errors import ConfigError
from llava_eval.models.http import ChatClient
from llava_eval.models.served.clips import MediaEncoder
from llava_eval.models.served.probe import why_no_clips
from llava_eval.models.served.server import Dialect, Server, find_server

_log = logging.getLogger(__name__)

_WORDS = {
    "images": "one image for each sampled frame: another prompt than that of one video",
    "video": "one video of exactly the sampled frames",
    "url": "their own addresses: the server samples them",
}


@dataclass(frozen=True)
class ServedModel:
    """Which served model is asked, and how videos are shown to it.

    Attributes:
        config: where it is and how it may be asked.
        server: what answers there.
        video_as: "images", "video" or "url".
    """

    config: ModelConfig
    server: Server
    video_as: str

    @property
    def words(self) -> str:
        """How videos are shown, for messages."""
        return _WORDS[self.video_as]

    def identity(self) -> dict[str, Any]:
        """Return what can change a generation; where the server is does not."""
        asked = self.config.server
        return {
            "model": {
                "served": self.config.checkpoint,
                "server": self.server.describe(),
                "video_as": self.video_as,
                "image_format": asked.image_format,
                "jpeg_quality": asked.jpeg_quality if asked.image_format == "jpeg" else None,
            }
        }

    def describe(self) -> dict[str, Any]:
        """Return the manifest's record of the model."""
        return {
            "checkpoint": self.config.checkpoint,
            "base_url": self.config.base_url,
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
        if has_options and not self.config.server.end_token:
            raise ConfigError(
                "this protocol compares likelihoods, which count the token that ends the "
                "assistant's turn: model.server.end_token takes its text, for instance '</s>'"
            )
        if has_prefill and not self.server.dialect.continues_turns:
            raise ConfigError(
                "this protocol begins the assistant's turn (benchmark.assistant_prefill), which "
                f"{label} cannot continue; vLLM and SGLang can (continue_final_message)"
            )


def find_served_model(config: ModelConfig) -> ServedModel:
    """Ask the server what it is, and choose how videos are shown to it.

    Args:
        config: of a model with a ``base_url``.

    Raises:
        CheckpointError: nobody answers, the key is refused, or it serves other models only.
        ConfigError: a key is missing, or videos cannot be shown as asked.
    """
    client = open_client(config)
    try:
        server = find_server(client, config)
        _check_videos(config, server.dialect)
        model = ServedModel(config, server, _video_as(config, server, client))
    finally:
        client.close()
    _log.info("%s is %s; videos go as %s", config.base_url, server.dialect.label, model.words)
    return model


def open_client(config: ModelConfig) -> ChatClient:
    """Return a client for the server.

    Args:
        config: of a model with a ``base_url``.

    Raises:
        ConfigError: a key is missing.
    """
    address = str(config.base_url)
    key = read_key(config.api_key_env, address, part="model", name=config.checkpoint)
    return ChatClient(address, key, config.server.timeout_seconds)


def _check_videos(config: ModelConfig, dialect: Dialect) -> None:
    asked = config.server
    if asked.clip_dir is not None and not Path(asked.clip_dir).is_dir():
        raise ConfigError(f"model.server.clip_dir={asked.clip_dir} is no folder")
    if asked.video_as == "video" and dialect.video is None:
        raise ConfigError(
            f"model.server.video_as=video: {dialect.label} takes no video of given frames; use "
            "images, or url for the video's own address"
        )
    if asked.video_as == "video" and not _is_possible(config, dialect):
        raise ConfigError(
            f"model.server.video_as=video: {dialect.label} reads videos from files only; "
            "model.server.clip_dir names a folder that it sees under the same path"
        )


def _is_possible(config: ModelConfig, dialect: Dialect) -> bool:
    """Return whether a video of given frames can be sent; files need a folder that both see."""
    has_folder = config.server.clip_dir is not None or is_this_machine(str(config.base_url))
    return dialect.video == "frames" or (dialect.video == "clip" and has_folder)


def _video_as(config: ModelConfig, server: Server, client: ChatClient) -> str:
    dialect = server.dialect
    if config.server.video_as != "auto":
        return config.server.video_as
    if not _is_possible(config, dialect):
        return "images"
    if dialect.video == "clip":
        encoder = MediaEncoder(config.server, dialect, "video")
        reason = why_no_clips(config.checkpoint, encoder, dialect, client)
        if reason is not None:
            _log.warning(
                "%s cannot read videos from files (transformers serve needs torchcodec and FFmpeg "
                "for that): %s",
                config.base_url,
                reason,
            )
            return "images"
    return "video"
