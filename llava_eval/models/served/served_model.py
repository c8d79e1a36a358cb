"""A served model: found and checked before it receives any request."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from llava_eval.borders.address import is_this_machine, read_key
from llava_eval.borders.http_client import AddressError, RequestError, UnreachableError
from llava_eval.borders.paths import local_path
from llava_eval.config.schema import ModelConfig
from llava_eval.errors import CheckpointError, ConfigError
from llava_eval.models.backend import Needs, Plan
from llava_eval.models.chat_client import ChatClient, RefusedError, RejectedError, hints
from llava_eval.models.request_pool import with_retries
from llava_eval.models.served.frame_cost import (
    LENGTHS,
    QUESTION,
    SMALL,
    FrameCost,
    Frames,
    FramesMissingError,
    measure_frame_cost,
    numbered_clip,
)
from llava_eval.models.served.media_encoder import MediaEncoder
from llava_eval.models.served.messages import chat_messages, prompt_fields
from llava_eval.models.served.server import Server, find_server
from llava_eval.types import GenerationSettings, Request

_log = logging.getLogger(__name__)

_WORDS = {
    "images": "one image for each sampled frame: another prompt than that of one video",
    "video": "one video of exactly the sampled frames",
    "url": "their own addresses: the server samples them",
}


#: Smallest share of the measured tokens that a prompt must have; for images it is lower, because
#: their size can matter more.
_SLACK = {"video": 0.9, "images": 0.75}

#: Smallest share of a small image's tokens that any image must have: narrow images have few tiles.
_LEAST_OF_IMAGE = 0.25


@dataclass(frozen=True)
class ServedModel(Plan):
    """A served model, and the form in which it is shown videos.

    Attributes:
        config: its address, and settings for requests.
        server: the server behind the address.
        video_as: "images", "video" or "url".
        needs: needs of the samples; for the media they show, it is checked that the model sees all.
        frame_cost: cost of a frame in tokens; None if not measured or not measurable.
        image_tokens: tokens of a small image; 0 if not measured or not measurable.
        unconfirmed: why it is unknown whether the model sees all frames; None if it is known.
        unconfirmed_images: the same for images.
        answers_as: the model's name in its responses; None before the first request.
    """

    config: ModelConfig
    server: Server
    video_as: str
    needs: Needs
    frame_cost: FrameCost | None = None
    image_tokens: int = 0
    unconfirmed: str | None = None
    unconfirmed_images: str | None = None
    answers_as: str | None = None

    def identity(self) -> dict[str, Any]:
        """Return everything that can change a generation; the server's address cannot."""
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
            "answers_as": self.answers_as,
            "tokens_per_frame": None if self.frame_cost is None else self.frame_cost.per_frame,
        }

    def least_tokens(
        self, videos: Sequence[Frames], num_words: int, num_images: int = 0
    ) -> int | None:
        """Return the minimum number of tokens of a prompt; see :meth:`FrameCost.least_tokens`.

        Args:
            videos: videos in the prompt.
            num_words: number of words of the text, separated by white space.
            num_images: number of images in the prompt that are at least as large as a trial's.

        Returns:
            The number; None if it cannot be determined.
        """
        cost, num_frames = self.frame_cost, sum(number for number, _ in videos)
        if cost is None or num_frames == 0:
            return int(_LEAST_OF_IMAGE * self.image_tokens * num_images) or None
        by_size = cost.least_tokens_of(videos, num_words) or 0
        # The larger of both: a trial in the same size may have lost frames too, and small frames
        # never cost more than larger ones.
        return max(by_size, cost.least_tokens(num_frames, num_words, _SLACK[self.video_as]))

    def refused(self, error: RefusedError | AddressError) -> CheckpointError:
        """Return the error for a server that refuses every request.

        Args:
            error: the server's refusal.
        """
        config = self.config
        return CheckpointError(
            f"{config.base_url} refuses model.checkpoint={config.checkpoint}: {error}"
            f"{hints(error, str(config.base_url))}"
        )

    def check_protocol(self, *, has_prefill: bool) -> None:
        """Check that the server offers what the protocol needs.

        Args:
            has_prefill: whether the protocol begins the assistant's turn with a text.

        Raises:
            ConfigError: something is missing.
        """
        label = self.server.dialect.label
        if self.needs.likelihoods and not self.server.dialect.prompt_logprobs:
            raise ConfigError(
                "this protocol compares likelihoods, for which a server has to return the "
                f"log-probabilities of a prompt: {label} does not, vLLM does (prompt_logprobs)"
            )
        if self.needs.likelihoods and not self.config.server.end_token:
            raise ConfigError(
                "this protocol compares likelihoods, which count the token that ends the "
                "assistant's turn: model.server.end_token takes its text, for instance '</s>'"
            )
        if has_prefill and not self.server.dialect.continues_turns:
            raise ConfigError(
                "this protocol begins the assistant's turn (benchmark.assistant_prefill), which "
                f"{label} cannot continue; vLLM and SGLang can (continue_final_message)"
            )


def find_served_model(config: ModelConfig, needs: Needs) -> ServedModel:
    """Identify the server, and choose the form in which it is shown videos.

    Args:
        config: configuration of a model with a ``base_url``.
        needs: needs of the samples.

    Raises:
        CheckpointError: there is no response, the key is refused, or the model is not served.
        ConfigError: a key is missing, or videos cannot be shown as configured.
    """
    client = open_client(config)
    try:
        server = find_server(client, config)
        model = ServedModel(config, server, _video_as(config, server, client), needs)
    finally:
        client.close()
    videos = f"; videos go as {_WORDS[model.video_as]}" if needs.videos else ""
    _log.info("%s is %s%s", config.base_url, server.dialect.label, videos)
    return model


class FrameTrial:
    """Sends a server numbered frames, to check whether it shows the model all of them.

    Args:
        model: the model.
        client: client of the server.
    """

    def __init__(self, model: ServedModel, client: ChatClient) -> None:
        self._model = model
        self._client = client

    def count_tokens(
        self, num_frames: int, size: tuple[int, int] = SMALL, question: str = QUESTION
    ) -> int:
        """Return the server's count of a prompt's tokens.

        Args:
            num_frames: number of frames in the prompt.
            size: their height and width in pixels.
            question: the text.

        Raises:
            RequestError: the server returns no count.
        """
        config, dialect = self._model.config, self._model.server.dialect
        encoder = MediaEncoder(config.server, dialect, self._model.video_as)
        try:
            shown = [encoder.encode("video", numbered_clip(num_frames, size))] if num_frames else []
            request = Request("trial", (*shown, question), GenerationSettings())
            messages = chat_messages(request, dialect)
            # Without a temperature, because some models refuse most values. The limit is not lower,
            # because OpenAI's models refuse lower ones.
            limit = request.settings.max_new_tokens
            fields = {"max_tokens": limit, **prompt_fields(request, dialect)}
            completion = with_retries(
                lambda: self._client.chat(config.checkpoint, messages, fields),
                config.server,
            )
        finally:
            encoder.close()
        if completion.num_input_tokens is None:
            raise RejectedError("the server does not count the prompt's tokens")
        return completion.num_input_tokens

    def with_proven(self, num_frames: int, videos: Sequence[Frames] = ()) -> ServedModel:
        """Return the model after a trial with this number of frames, if frames have a known cost.

        Args:
            num_frames: number of frames in a prompt.
            videos: videos of the prompt, tried in their own size if the size matters.

        Raises:
            FramesMissingError: the server does not show the model all frames.
            RequestError: the server does not answer now, but may answer later.
        """
        cost = self._model.frame_cost
        if cost is None:
            return self._model
        try:
            if num_frames > cost.num_proven:
                cost = cost.proven(num_frames, self.count_tokens(num_frames))
            for video in () if cost.is_constant else videos:
                if cost.tokens_of(video) is None:
                    cost = self._with_tried(cost, video)
        except RequestError as error:
            if error.may_pass:
                raise
            # The same error will come up in the question itself.
        return replace(self._model, frame_cost=cost)

    def _with_tried(self, cost: FrameCost, video: Frames) -> FrameCost:
        """Return the frame cost with a further trial, of frames in their own size."""
        num_frames, (height, width) = video
        tokens = self.count_tokens(*video) - cost.others
        cost = replace(cost, clips={**cost.clips, video: tokens})
        if cost.makes_smaller(video):
            _log.warning(
                "%s makes frames of %d x %d pixels smaller: %d of them cost %d tokens",
                self._model.config.base_url,
                width,
                height,
                num_frames,
                tokens,
            )
        return cost


def with_checked_frames(model: ServedModel, num_frames: int | None = None) -> ServedModel:
    """Measure the cost of frames with numbered clips, and return the model with it.

    Args:
        model: the model.
        num_frames: number of frames that the run shows of each video, if known.

    Raises:
        CheckpointError: the model does not see all frames, or the server does not answer.
    """
    client = open_client(model.config)
    try:
        if model.needs.images:
            model = _with_checked_image(model, client)
        if model.needs.videos:
            model = _with_checked_videos(model, client, num_frames)
        return replace(model, answers_as=client.answered_by)
    except (RefusedError, AddressError) as error:
        raise model.refused(error) from None
    except UnreachableError as error:
        raise CheckpointError(f"{model.config.base_url} does not answer a probe: {error}") from None
    finally:
        client.close()


def _with_checked_image(model: ServedModel, client: ChatClient) -> ServedModel:
    """Return the model with the measured cost of an image."""
    trial = FrameTrial(replace(model, video_as="images"), client)
    try:
        tokens = trial.count_tokens(1) - trial.count_tokens(0)
        reason = "its counts are the same with an image and without"
    except (RefusedError, AddressError, UnreachableError):
        raise
    except RequestError as error:
        tokens, reason = 0, str(error)
    if tokens > 0:
        return replace(model, image_tokens=tokens)
    _log.warning("could not check whether %s sees images: %s", model.config.base_url, reason)
    return replace(model, unconfirmed_images=reason)


def _with_checked_videos(
    model: ServedModel, client: ChatClient, num_frames: int | None
) -> ServedModel:
    """Return the model with the measured cost of a video's frames."""
    if model.video_as == "url":
        return replace(model, unconfirmed="the server samples the frames of a video's own address")
    trial = FrameTrial(model, client)
    address = model.config.base_url
    try:
        try:
            return replace(model, frame_cost=measure_frame_cost(trial.count_tokens, num_frames))
        except FramesMissingError as error:
            may_count_none = model.video_as == "images" and error.is_constant
            if not may_count_none or trial.count_tokens(0) != trial.count_tokens(LENGTHS[0][0]):
                remedy = ' (start vLLM with --media-io-kwargs \'{"video":{"num_frames":-1}}\')'
                raise CheckpointError(
                    f"{address} does not show the model every frame that it is sent: {error}"
                    f"{remedy if model.video_as == 'video' else ''}"
                ) from None
            reason = "its counts are the same with any number of images: it does not count images"
    except (RefusedError, AddressError, UnreachableError):
        raise
    except RequestError as error:
        reason = str(error)
        if model.video_as == "video":
            raise CheckpointError(f"{address} does not answer a probe: {reason}") from None
    _log.warning("could not check whether %s sees every frame: %s", address, reason)
    return replace(model, unconfirmed=reason)


def open_client(config: ModelConfig) -> ChatClient:
    """Return a client for the server.

    Args:
        config: configuration of a model with a ``base_url``.

    Raises:
        ConfigError: a key is missing.
    """
    address = str(config.base_url)
    key = read_key(config.api_key_env, address, part="model", name=config.checkpoint)
    return ChatClient(address, key, config.server.timeout_seconds)


def _video_as(config: ModelConfig, server: Server, client: ChatClient) -> str:
    """Return the form in which videos are shown: as configured, or the best that is supported."""
    asked, dialect = config.server, server.dialect
    # A file needs a folder that the server sees too.
    has_folder = asked.clip_dir is not None or is_this_machine(str(config.base_url))
    is_possible = dialect.video == "frames" or (dialect.video == "clip" and has_folder)
    if asked.clip_dir is not None and not local_path(asked.clip_dir).is_dir():
        raise ConfigError(f"model.server.clip_dir={asked.clip_dir} is no folder")
    if asked.video_as == "video" and dialect.video is None:
        raise ConfigError(
            f"model.server.video_as=video: {dialect.label} takes no video of given frames; use "
            "images, or url for the video's own address"
        )
    if asked.video_as == "video" and not is_possible:
        raise ConfigError(
            f"model.server.video_as=video: {dialect.label} reads videos from files only; "
            "model.server.clip_dir names a folder that it sees under the same path"
        )
    if asked.video_as != "auto":
        return asked.video_as
    if not is_possible:
        return "images"
    if dialect.video == "clip":
        once = replace(config, server=replace(asked, retries=0))
        trial = ServedModel(once, server, "video", Needs())
        try:
            FrameTrial(trial, client).count_tokens(2)
        except (RefusedError, AddressError) as error:
            raise trial.refused(error) from None
        except RequestError as error:
            _log.warning(
                "%s cannot read videos from files (transformers serve needs torchcodec and FFmpeg "
                "for that): %s",
                config.base_url,
                error,
            )
            return "images"
    return "video"
