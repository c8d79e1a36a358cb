"""What plain transformers answers: the processor's whole prompt, ``generate``, one at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from llava_eval.types import Clip, MediaKind
from tests.models.helpers import make_clip

NEW_TOKENS = 6

#: A user's turn: texts, and media by kind.
Turn = tuple[str | tuple[MediaKind, Clip], ...]


def video(
    seed: int, num_frames: int = 8, size: tuple[int, int] = (80, 120)
) -> tuple[MediaKind, Clip]:
    """Return a video of smooth noise: frames some seconds apart."""
    clip = make_clip(num_frames, seed=seed, size=size)
    indices = tuple(15 * number for number in range(num_frames))
    times = tuple(index / 8 for index in indices)
    return "video", replace(
        clip, frame_indices=indices, pts_seconds=times, num_source_frames=15 * num_frames
    )


def image(seed: int, size: tuple[int, int] = (80, 120)) -> tuple[MediaKind, Clip]:
    """Return an image of smooth noise."""
    return "image", make_clip(1, seed=seed, size=size)


@dataclass
class Plain:
    """A checkpoint as transformers loads it, with nothing of ours around it."""

    model: Any
    processor: Any

    @classmethod
    def load(cls, folder: Path) -> Plain:
        model = AutoModelForImageTextToText.from_pretrained(folder).eval()
        processor = AutoProcessor.from_pretrained(folder)
        if model.config.model_type == "cosmos3_edge":  # its generate tells people to ask for them
            processor.return_mm_token_type_ids = True
        return cls(model, processor)

    def text(self, turn: Turn, placeholder: str | None) -> str:
        """Return the rendered conversation.

        Args:
            turn: of the user.
            placeholder: for checkpoints without a chat template: stands for an image.
        """
        if placeholder is None:
            content = [
                {"type": "text", "text": piece} if isinstance(piece, str) else {"type": piece[0]}
                for piece in turn
            ]
            rendered = self.processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
            )
            return str(rendered)
        user = "".join(
            piece if isinstance(piece, str) else placeholder + ("\n" if placeholder else "")
            for piece in turn
        )
        return f"USER: {user} ASSISTANT:"

    def inputs(self, turn: Turn, placeholder: str | None) -> Any:
        """Return the processor's inputs for the whole prompt."""
        media = [piece for piece in turn if not isinstance(piece, str)]
        images = [
            Image.fromarray(clip.frames[0].permute(1, 2, 0).numpy())
            for kind, clip in media
            if kind == "image"
        ]
        clips = [clip for kind, clip in media if kind == "video"]
        arguments: dict[str, Any] = {"images": images} if images else {}
        names = getattr(getattr(self.processor, "image_processor", None), "model_input_names", ())
        if images and "batch_num_images" in names:  # as apply_chat_template gives them
            arguments = {"images": [images]}
        if clips:
            arguments["videos"] = [clip.frames for clip in clips]
            arguments["do_sample_frames"] = False
            arguments["return_metadata"] = True
            arguments["video_metadata"] = [
                {
                    "total_num_frames": clip.num_source_frames,
                    "fps": clip.fps,
                    "duration": (clip.num_source_frames or 0) / (clip.fps or 1),
                    "frames_indices": list(clip.frame_indices),
                    "height": clip.frames.shape[-2],
                    "width": clip.frames.shape[-1],
                }
                for clip in clips
            ]
            if "video_second_per_grid" in self.processor.model_input_names:  # as Qwen tells Omni
                arguments["fps"] = 8 / 15  # each 15th frame of 8 a second, see video()
        text = self.text(turn, placeholder)
        try:
            inputs = self.processor(text=[text], return_tensors="pt", **arguments)
        except ValueError:  # SmolVLM, before 5.23, wants the videos of each prompt in a list
            arguments |= {key: [arguments[key]] for key in ("images", "videos") if key in arguments}
            inputs = self.processor(text=[text], return_tensors="pt", **arguments)
        for name in ("labels", "video_metadata"):
            inputs.pop(name, None)
        return inputs.to(self.model.dtype)

    def new_tokens(self, inputs: Any) -> list[int]:
        """Return the tokens that the model writes."""
        with torch.inference_mode():
            sequence = self.model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)[0]
        ids = inputs["input_ids"][0]
        if self.model.config.model_type == "blip":  # its generate drops the token that ends a text
            sequence = sequence[len(ids) - 1 :]
        elif len(sequence) >= len(ids) and torch.equal(sequence[: len(ids)], ids):
            sequence = sequence[len(ids) :]
        elif self.model.config.is_encoder_decoder:
            sequence = sequence[1:]
        return list(sequence.tolist())
