"""Prepares media for the checkpoint's processor: PIL images, and frames with metadata."""

from __future__ import annotations

import copy
import threading
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from PIL import Image
from torch.utils._pytree import tree_leaves, tree_map_only

from llava_eval.errors import CheckpointError
from llava_eval.models.local.model import LoadedModel
from llava_eval.models.local.pixels import TEXT_INPUTS, pixel_input_digest
from llava_eval.models.local.placeholders import takes_none
from llava_eval.types import Clip, MediaKind, PreparedMedia
from llava_eval.video.container import media_errors

#: Outputs of processors that are not model inputs.
_NO_INPUTS = ("labels", "video_metadata")


class WholePrompts:
    """Makes the model inputs of whole prompts with the checkpoint's own processor.

    The processor gets every prompt as a whole, with text and media. Only its image processor and
    video processor run once for the same media, and their results are reused for further questions.

    Args:
        processor: the checkpoint's processor.
        settings: replaced settings of images and videos.
    """

    def __init__(self, processor: Any, settings: Mapping[str, Any]) -> None:
        self._processor = copy.copy(processor)
        for name in ("image_processor", "video_processor"):
            part = getattr(processor, name, None)
            if part is not None:
                setattr(self._processor, name, _CachedProcessor(part, settings))

    def inputs(self, *prompts: tuple[str, Sequence[PreparedMedia]]) -> dict[str, Any]:
        """Return the model's inputs for some prompts on the CPU, padded if there are several.

        Args:
            prompts: pairs of the rendered conversation and its media in the prompt's order.
        """
        texts = [text for text, _ in prompts]
        arguments: dict[str, Any] = {"text": texts, "return_tensors": "pt"}
        if len(texts) > 1:
            arguments["padding"] = True
        bos = self._processor.tokenizer.bos_token
        if bos is not None and all(text.startswith(bos) for text in texts):
            # As apply_chat_template(tokenize=True) does if the template writes the bos token.
            arguments["add_special_tokens"] = False
        shown = _media_arguments(medium for _, media in prompts for medium in media)
        nested = dict(shown)
        of_prompts = [_media_arguments(media) for _, media in prompts]
        for name in {"images", "videos"} & shown.keys():
            nested[name] = [of_prompt.get(name, []) for of_prompt in of_prompts]
        ways = [shown, nested]
        parts = getattr(self._processor, "image_processor", None)
        if "batch_num_images" in getattr(parts, "model_input_names", ()):
            ways.reverse()  # LLaVA-OneVision's processor does not tile several images
        try:
            made = self._processor(**arguments, **ways[0])
        except Exception as error:  # noqa: BLE001 - a few expect a list of media for each prompt
            try:
                made = self._processor(**arguments, **ways[1])
            except Exception:  # noqa: BLE001 - the first error is more informative
                raise error from None
        if "video_second_per_grid" in made:
            self._set_rates(made, shown["videos_kwargs"]["video_metadata"])
        return {name: value for name, value in made.items() if name not in _NO_INPUTS}

    def _set_rates(self, made: dict[str, Any], videos: Sequence[Mapping[str, Any]]) -> None:
        """Set each video's seconds per patch: Qwen's Omni uses one rate for all, or a default."""
        if all(video["duration"] for video in videos):
            frames = self._processor.video_processor.temporal_patch_size
            seconds = [video["duration"] / len(video["frames_indices"]) for video in videos]
            made["video_second_per_grid"] = frames * torch.tensor(seconds)

    def inputs_ahead(self, medium: PreparedMedia) -> dict[str, Any]:
        """Preprocess a medium ahead of time, so that the prompts with it need not wait.

        Returns:
            The processor's output for the medium alone; empty if it needs the whole prompt.
        """
        token = getattr(self._processor, f"{medium.shown_kinds[0]}_token", None) or ""
        text = str(token) * len(medium.shown_kinds)
        try:
            return self.inputs((text, [medium]))
        except Exception:  # noqa: BLE001 - a real problem comes up with the whole prompt
            return {}


class _CachedProcessor:
    """Wraps an image processor or video processor, and preprocesses the same media only once.

    A result is dropped together with its media. Replaced settings also override those that the
    surrounding processor passes (InternVL's ``crop_to_patches``, Aria's ``split_image``).
    """

    def __init__(self, part: Any, settings: Mapping[str, Any]) -> None:
        self._part = part
        self._replaced = settings
        self._made: dict[tuple[Any, ...], Any] = {}
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        if name in ("_part", "_replaced", "_made", "_lock"):  # not set yet during a copy
            raise AttributeError(name)
        return getattr(self._part, name)

    def __call__(self, *media: Any, **settings: Any) -> Any:
        settings |= {name: self._replaced[name] for name in settings.keys() & self._replaced.keys()}
        named = {name: settings[name] for name in ("images", "videos") if name in settings}
        items = [item for item in tree_leaves([*media, *named.values()]) if item is not None]
        nested = tree_map_only(object, id, [*media, *named.values()])
        others = {name: value for name, value in settings.items() if name not in named}
        key = (repr(nested), repr(sorted(others.items())))
        with self._lock:
            made = self._made.get(key)
        if made is None:
            frames = getattr(self._part, "temporal_patch_size", 1)
            settings |= {name: _long_enough(value, frames) for name, value in named.items()}
            made = self._part(*_long_enough(media, frames), **settings)
            with self._lock:
                self._made[key] = made
            for item in items:
                weakref.finalize(item, self._made.pop, key, None)
        return copy.copy(made)  # processors remove entries


def _long_enough(media: Any, num_frames: int) -> Any:
    """Return nested lists in which videos that are too short repeat their last frame.

    Other video processors pad such videos; those of Qwen3-VL, Qwen3.5 and GLM-4V refuse them.
    """

    def repeat_last(frames: torch.Tensor) -> torch.Tensor:  # (F, 3, H, W)
        missing = num_frames - len(frames)
        return torch.cat([frames, *[frames[-1:]] * missing]) if missing > 0 else frames

    return tree_map_only(torch.Tensor, repeat_last, media)


def _media_arguments(media: Iterable[PreparedMedia]) -> dict[str, Any]:
    """Return the processor's arguments for the media of one prompt."""
    images: list[Any] = []
    videos: list[Any] = []
    metadata: list[dict[str, Any]] = []
    for medium in media:
        if "video" in medium.shown_kinds:
            videos += medium.shown
            clip, total = medium.clip, medium.clip.num_frames_sampled_from
            metadata.append(
                {
                    "total_num_frames": total,
                    "fps": clip.fps,
                    # SmolVLM writes the duration into the prompt.
                    "duration": round(total / clip.fps, 6) if clip.fps else None,
                    "frames_indices": list(clip.frame_indices),
                    "height": clip.frames.shape[-2],
                    "width": clip.frames.shape[-1],
                }
            )
        else:
            images += medium.shown
    arguments: dict[str, Any] = {}
    if images:
        arguments["images"] = images
    if videos:
        # Frames are already sampled; processors that write timestamps read the metadata.
        arguments["videos"] = videos
        arguments["videos_kwargs"] = {
            "do_sample_frames": False,
            "video_metadata": metadata,
            "return_metadata": True,  # needed by the processors of Muse and Cosmos 3 Edge
        }
    return arguments


class MediaPreparer:
    """Prepares single clips for a model; safe to call from several threads at once.

    Args:
        loaded: the model.
        whole: its processor.
        takes_apart: media are encoded separately from prompts (LLaVA-NeXT-Video). A video's frames
            are then passed on as uint8, resized and cropped, and are normalised on the device.
    """

    def __init__(self, loaded: LoadedModel, whole: WholePrompts, *, takes_apart: bool) -> None:
        self._loaded = loaded
        self._whole = whole
        self._takes_apart = takes_apart
        self._pin = loaded.plan.device.type == "cuda"
        self._video_tokens: dict[tuple[int, ...], tuple[int, ...]] = {}

    def prepare(self, kind: MediaKind, clip: Clip) -> PreparedMedia:
        """Preprocess one clip.

        Args:
            kind: video, or image (a clip of one frame).
            clip: the frames.

        Raises:
            CheckpointError: the processor does not support this kind, or makes no tokens of it.
        """
        medium = shown_medium(kind, clip, as_images=self._loaded.plan.shows_images)
        if "video" in medium.shown_kinds and self._loaded.placeholder("video") is None:
            raise takes_none(self._loaded.processor, kind)
        if not self._takes_apart:
            made = self._whole.inputs_ahead(medium)
            return replace(medium, pixel_input_digest=pixel_input_digest(made))
        if kind == "video" and self._loaded.pixels.is_split:
            return self._resized_video(medium, clip)
        inputs, token_ids = self._inputs_and_tokens(medium)
        return replace(
            medium,
            inputs=self._pinned(inputs),
            token_ids=token_ids,
            pixel_input_digest=pixel_input_digest(inputs),
        )

    def _resized_video(self, medium: PreparedMedia, clip: Clip) -> PreparedMedia:
        """Return a video whose inputs are uint8 frames, resized and cropped."""
        if not clip.is_resized:
            prepared = self._loaded.pixels.prepare(clip.frames)
            clip = replace(clip, frames=prepared, is_resized=True)
        frames, shape = clip.frames, tuple(clip.frames.shape)  # (F, 3, h, w)
        medium = replace(medium, clip=clip, shown=(frames,))
        if shape not in self._video_tokens:
            # The number of tokens depends only on the shape, and resizing again changes nothing.
            _, self._video_tokens[shape] = self._inputs_and_tokens(medium)
        inputs = {"pixel_values_videos": frames.unsqueeze(0)}  # (1, F, 3, h, w)
        values = {"pixel_values_videos": self._loaded.pixels.finish(frames).unsqueeze(0)}
        return replace(
            medium,
            inputs=self._pinned(inputs),
            token_ids=self._video_tokens[shape],
            pixel_input_digest=pixel_input_digest(values),
        )

    def _inputs_and_tokens(
        self, medium: PreparedMedia
    ) -> tuple[dict[str, torch.Tensor], tuple[int, ...]]:
        """Return the processor's output for a medium alone: pixel values, and its tokens."""
        token, name = self._loaded.placeholder(medium.kind), type(self._loaded.processor).__name__
        with media_errors(name):
            made = self._whole.inputs((str(token), [medium]))
            token_id = self._loaded.placeholder_id(medium.kind)
        inputs = {
            name: value
            for name, value in made.items()
            if name not in TEXT_INPUTS and isinstance(value, torch.Tensor)
        }
        ids = made["input_ids"][0].tolist()
        if token_id not in ids:
            raise CheckpointError(f"{name} makes no {token} tokens of a {medium.kind}")
        return inputs, (token_id,) * ids.count(token_id)

    def _pinned(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return inputs in page-locked memory, which CUDA copies asynchronously."""
        return {name: value.pin_memory() if self._pin else value for name, value in inputs.items()}


def shown_medium(kind: MediaKind, clip: Clip, *, as_images: bool) -> PreparedMedia:
    """Return a medium with its frames in the form that processors accept, not preprocessed yet.

    Args:
        kind: video, or image (a clip of one frame).
        clip: the frames.
        as_images: whether each frame of a video is shown as an image of its own.
    """
    if kind == "video" and not as_images:
        return PreparedMedia(kind, clip, shown=(clip.frames,), shown_kinds=("video",))
    images = tuple(map(Image.fromarray, clip.pixels))  # some processors accept only PIL images
    kinds: tuple[MediaKind, ...] = tuple("image" for _ in images)
    return PreparedMedia(kind, clip, shown=images, shown_kinds=kinds)
