"""The model as it is trained: packed rows in, losses out, with auxiliary heads that are dropped.

A tiny model learns to read an answer's letter off the options only if it is helped: one head
says at the end of each option whether it is right, others say what is on each frame. They are
not part of the checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlavaNextVideoForConditionalGeneration, PreTrainedTokenizerFast

from demo.batches import IGNORED, PREFIX_SEGMENT, Batch
from demo.model import HIDDEN_SIZE, TOKENS_PER_FRAME
from demo.prompts import LETTERS
from demo.world import COLORS, DIRECTIONS, MAX_EVENTS, SETTINGS, SHAPES

# CLIP's statistics, as in the processor.
MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
STD: Final = (0.26862954, 0.26130258, 0.27577711)

# After how many layers the auxiliary heads read the video's tokens, the end of the question and
# the ends of the options. The order is that of the work: see, answer, compare, read the letter.
TRACKING_LAYER: Final = 2
LETTER_LAYER: Final = 2
ANSWER_LAYER: Final = 4
OPTION_LAYER: Final = 5

LOSS_WEIGHTS: Final = {
    "reply": 1.0,
    "answer": 0.5,
    "options": 0.5,
    "letters": 0.2,
    "loss shape": 0.2,
    "loss color": 0.2,
    "loss setting": 0.1,
    "loss geometry": 5.0,
    "loss direction": 1.0,
    "loss previous": 0.1,
    "loss seen": 0.1,
}


@dataclass
class Losses:
    """The parts of the training objective, and the predicted tokens at labelled places."""

    total: Tensor
    parts: dict[str, Tensor]
    predictions: Tensor


def attention_bias(segments: Tensor, dtype: torch.dtype) -> Tensor:
    """Causal within a question and from a question to the video, nothing else."""
    length = segments.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    same = segments[:, :, None] == segments[:, None, :]
    to_prefix = segments[:, None, :] == PREFIX_SEGMENT
    allowed = causal & (same | to_prefix)
    bias = torch.zeros(allowed.shape, dtype=dtype, device=segments.device)
    return bias.masked_fill(~allowed, torch.finfo(dtype).min)[:, None]


def _whole(cells: Tensor) -> Tensor:
    """(rows, frames, cells x width) to (rows, frames, width): what is in all cells of a frame.

    Attention adds up what it reads in the cells, so this is the form in which a question that
    looks at a frame can use it.
    """
    return cells.view(*cells.shape[:-1], TOKENS_PER_FRAME, -1).sum(-2)


class WordHead(nn.Module):
    """Classifies features by the embeddings of words, with class 0 for nothing.

    So a thing on a frame comes to look to the language model like its name in a text.
    """

    def __init__(self, words: list[str], tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__()
        tokens = [tokenizer.encode(word, add_special_tokens=False) for word in words]
        assert all(len(token) == 1 for token in tokens), "every name must be one token"
        self.tokens = [token[0] for token in tokens]
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, features: Tensor, embeddings: Tensor) -> Tensor:
        names = embeddings[self.tokens]
        logits = features @ names.T
        return torch.cat([self.nothing.expand(*logits.shape[:-1], 1), logits], dim=-1)


class TrainingNetwork(nn.Module):
    """Wraps the model; `forward` returns the losses of one batch."""

    def __init__(
        self,
        model: LlavaNextVideoForConditionalGeneration,
        tokenizer: PreTrainedTokenizerFast,
        compile_decoder: bool,
    ) -> None:
        super().__init__()
        self.model = model
        cells = TOKENS_PER_FRAME * HIDDEN_SIZE
        self.answer_head = nn.Linear(HIDDEN_SIZE, HIDDEN_SIZE)
        self.option_head = nn.Linear(HIDDEN_SIZE, 1)
        self.letter_head = nn.Linear(HIDDEN_SIZE, len(LETTERS))
        self.shape_head = WordHead([f" {shape}" for shape in SHAPES], tokenizer)
        self.color_head = WordHead([f" {color}" for color in COLORS], tokenizer)
        self.setting_head = nn.Linear(cells, len(SETTINGS))
        self.geometry_head = nn.Linear(cells, 3)
        self.direction_head = WordHead([f" {direction}" for direction in DIRECTIONS], tokenizer)
        self.direction_view = nn.Linear(HIDDEN_SIZE, HIDDEN_SIZE)
        self.previous_shape_head = nn.Linear(cells, len(SHAPES) + 1)
        self.previous_color_head = nn.Linear(cells, len(COLORS) + 1)
        self.seen_head = nn.Linear(cells, MAX_EVENTS + 1)
        self.decode = (
            torch.compile(self._decode, dynamic=False) if compile_decoder else self._decode
        )

    def _decode(self, embeds: Tensor, bias: Tensor, positions: Tensor) -> list[Tensor]:
        """Hidden states after every layer; the last one normalised."""
        decoder = self.model.model.language_model
        rotary = decoder.rotary_emb(embeds, positions)
        states: list[Tensor] = []
        hidden = embeds
        for layer in decoder.layers:
            hidden = layer(
                hidden,
                attention_mask=bias,
                position_ids=positions,
                position_embeddings=rotary,
                use_cache=False,
            )
            states.append(hidden)
        return [*states[:-1], decoder.norm(hidden)]

    def forward(self, batch: Batch) -> Losses:
        if not batch.input_ids.numel():
            return self._look(batch)
        embeds = self.model.get_input_embeddings()(batch.input_ids)
        parts: dict[str, Tensor] = {}
        is_video = batch.input_ids == self.model.config.video_token_index
        features = None
        if batch.frames is not None:
            features = self._see(batch.frames, embeds.dtype)
            embeds = embeds.masked_scatter(is_video[..., None], features)
        bias = attention_bias(batch.segments, embeds.dtype)
        states = self.decode(embeds, bias, batch.positions)
        if batch.frames is not None and features is not None:
            rows, count = batch.frames.shape[:2]
            tracked = states[TRACKING_LAYER - 1][is_video].view(rows, count, -1)
            parts |= self._frame_losses(batch, features.view(rows, count, -1))
            parts |= self._tracking_losses(batch, tracked)
        if not (batch.labels != IGNORED).any():
            return Losses(self._total(parts), parts, embeds.new_empty(0))
        parts["answer"] = self._answer_loss(batch, states[ANSWER_LAYER - 1])
        parts["letters"] = self._letter_loss(batch, states[LETTER_LAYER - 1])
        parts["options"] = self._option_loss(batch, states[OPTION_LAYER - 1])
        parts["reply"], predictions = self._reply_loss(batch, states[-1])
        return Losses(self._total(parts), parts, predictions)

    @staticmethod
    def _total(parts: dict[str, Tensor]) -> Tensor:
        return torch.stack([LOSS_WEIGHTS[name] * part for name, part in parts.items()]).sum()

    def _look(self, batch: Batch) -> Losses:
        """Only the vision tower: what is on each frame."""
        assert batch.frames is not None
        rows, count = batch.frames.shape[:2]
        features = self._see(batch.frames, self.model.dtype)
        parts = self._frame_losses(batch, features.view(rows, count, -1))
        return Losses(self._total(parts), parts, features.new_empty(0))

    def _see(self, frames: Tensor, dtype: torch.dtype) -> Tensor:
        mean, std = (
            torch.tensor(values, device=frames.device).view(1, 1, 3, 1, 1) * 255
            for values in (MEAN, STD)
        )
        pixels = ((frames - mean) / std).to(dtype)
        outputs = self.model.model.get_video_features(pixels, return_dict=True).pooler_output
        return torch.cat([video.flatten(0, 1) for video in outputs])

    @staticmethod
    def _classify(logits: Tensor, classes: Tensor) -> Tensor:
        return functional.cross_entropy(logits.flatten(0, 1).float(), classes.flatten())

    def _frame_losses(self, batch: Batch, seen: Tensor) -> dict[str, Tensor]:
        targets = batch.frame_targets
        assert targets is not None
        shown = (targets.shape > 0)[..., None]
        error = (self.geometry_head(seen).float() - targets.geometry).square() * shown
        words = self.model.get_input_embeddings().weight
        whole = _whole(seen)
        return {
            "loss shape": self._classify(self.shape_head(whole, words), targets.shape),
            "loss color": self._classify(self.color_head(whole, words), targets.color),
            "loss setting": self._classify(self.setting_head(seen), targets.setting),
            "loss geometry": error.sum() / shown.sum().clamp(min=1),
        }

    def _tracking_losses(self, batch: Batch, tracked: Tensor) -> dict[str, Tensor]:
        targets = batch.frame_targets
        assert targets is not None
        words = self.model.get_input_embeddings().weight
        whole = self.direction_view(_whole(tracked))
        return {
            "loss direction": self._classify(self.direction_head(whole, words), targets.direction),
            "loss previous": self._classify(
                self.previous_shape_head(tracked), targets.previous_shape
            )
            + self._classify(self.previous_color_head(tracked), targets.previous_color),
            "loss seen": self._classify(self.seen_head(tracked), targets.seen),
        }

    def _option_loss(self, batch: Batch, hidden: Tensor) -> Tensor:
        places = batch.option_targets != IGNORED
        logits = self.option_head(hidden[places]).squeeze(-1).float()
        wanted = batch.option_targets[places].float()
        return functional.binary_cross_entropy_with_logits(logits, wanted)

    def _answer_loss(self, batch: Batch, hidden: Tensor) -> Tensor:
        """At the question's end: the word that answers it."""
        places = batch.answers != IGNORED
        words = self.model.get_input_embeddings().weight
        logits = self.answer_head(hidden[places]) @ words.T
        return functional.cross_entropy(logits.float(), batch.answers[places])

    def _letter_loss(self, batch: Batch, hidden: Tensor) -> Tensor:
        places = batch.option_letters != IGNORED
        logits = self.letter_head(hidden[places]).float()
        return functional.cross_entropy(logits, batch.option_letters[places])

    def _reply_loss(self, batch: Batch, hidden: Tensor) -> tuple[Tensor, Tensor]:
        places = batch.labels != IGNORED
        logits = self.model.lm_head(hidden[places]).float()
        weights = batch.weights[places]
        losses = functional.cross_entropy(logits, batch.labels[places], reduction="none")
        return (losses * weights).sum() / weights[weights > 0.1].sum(), logits.argmax(-1)
