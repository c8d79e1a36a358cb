"""The training loop: bf16 arithmetic, float32 master weights, Muon for the matrices."""

from __future__ import annotations

import json
import random
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from transformers import LlavaNextVideoForConditionalGeneration, PreTrainedTokenizerFast

from demo.batches import (
    IGNORED,
    KIND_NUMBERS,
    Batch,
    BatchShape,
    FrameTargets,
    Packer,
    make_batch,
)
from demo.network import TrainingNetwork
from demo.world import Scene

REPORT_EVERY: Final = 100
SAVE_EVERY: Final = 500

# Frame counts and how often each is drawn.
FRAME_COUNTS: Final[dict[int, float]] = {
    1: 0.02,
    2: 0.04,
    3: 0.02,
    4: 0.08,
    6: 0.05,
    8: 0.2,
    10: 0.04,
    12: 0.07,
    16: 0.32,
    24: 0.04,
    32: 0.1,
    64: 0.02,
}


@dataclass(frozen=True)
class TrainingPlan:
    """How long and how fast to train: what each step's batch looks like, and its step size.

    First the vision tower learns what is on a frame, then the first layers what goes on from
    frame to frame; every other step is about a transcript instead of a video and teaches how
    options, letters and answers belong together. Then questions about videos are the rule, at
    first in brief words, later more and more in those of public protocols.
    """

    steps: int
    vision_steps: int = 500
    tracking_steps: int = 500
    text_every: int = 5
    protocols_from: float = 0.45  # share of all steps after which protocols' wordings come in
    protocols_share: float = 0.75  # of the rows, at the end
    learning_rate: float = 1.5e-3
    warmup_steps: int = 100
    decay_share: float = 0.4
    weight_decay: float = 0.02
    clip: float = 1.0
    seed: int = 0

    def rate(self, step: int) -> float:
        """Linear warm-up, constant, linear decay to zero."""
        rise = min(1.0, (step + 1) / self.warmup_steps)
        fall = min(1.0, (self.steps - step) / (self.decay_share * self.steps))
        return self.learning_rate * rise * fall

    def protocols(self, step: int) -> float:
        """Share of rows worded by public protocols: rises for a tenth of all steps, then stays."""
        risen = (step / self.steps - self.protocols_from) / 0.1
        return self.protocols_share * min(max(risen, 0.0), 1.0)

    def shape(self, step: int) -> BatchShape:
        """The shape of a step's batch; few distinct sizes, since each is compiled once."""
        rng = self.rng(step, "shape")
        count = rng.choices(list(FRAME_COUNTS), list(FRAME_COUNTS.values()))[0]
        share = self.protocols(step)
        mixed_at = self.vision_steps + self.tracking_steps
        if step % (2 if step < mixed_at else self.text_every) == 0:
            return BatchShape(32, 256, 0, protocols=share)
        if step < self.vision_steps:
            return BatchShape(32, 0, 8)
        if step < mixed_at:
            return BatchShape(32, 256, min(count, 16), questions=False)
        if count <= 16:
            return BatchShape(32, 256, count, protocols=share)
        return BatchShape(16, 384, count, protocols=share)

    def rng(self, step: int, purpose: str) -> random.Random:
        """Each step has its own numbers, so that a run can be resumed anywhere."""
        return random.Random(f"{self.seed}/{step}/{purpose}")


class _Steps(Dataset[Batch]):
    """The batch of every step, made on demand in a worker process."""

    def __init__(
        self,
        plan: TrainingPlan,
        tokenizer: PreTrainedTokenizerFast,
        is_held_out: Callable[[Scene], bool],
    ) -> None:
        self.plan, self.is_held_out = plan, is_held_out
        self.packer = Packer(tokenizer)

    def __len__(self) -> int:
        return self.plan.steps

    def __getitem__(self, step: int) -> Batch:
        rng = self.plan.rng(step, "batch")
        return make_batch(self.plan.shape(step), self.packer, rng, self.is_held_out)


class MasterWeights:
    """Float32 copies of the parameters: small updates would vanish in bf16."""

    def __init__(self, network: nn.Module, plan: TrainingPlan) -> None:
        self.plan = plan
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.masters = [p.detach().float().clone() for p in self.parameters]
        self.names = [name for name, p in network.named_parameters() if p.requires_grad]
        matrices: list[Tensor] = []
        others: list[Tensor] = []
        for name, master in zip(self.names, self.masters, strict=True):
            hidden = master.ndim == 2 and "embed" not in name and "head" not in name
            (matrices if hidden else others).append(master)
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(
                matrices,
                lr=plan.learning_rate,
                weight_decay=plan.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            ),
            torch.optim.AdamW(
                others, lr=plan.learning_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True
            ),
        ]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        for parameter, master in zip(self.parameters, self.masters, strict=True):
            if parameter.grad is None:
                master.grad = torch.zeros_like(master)
            else:
                master.grad = parameter.grad.float()
                parameter.grad = None
        torch.nn.utils.clip_grad_norm_(self.masters, self.plan.clip, foreach=True)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
        for parameter, master in zip(self.parameters, self.masters, strict=True):
            parameter.copy_(master)

    def save(self, path: Path, step: int) -> None:
        """Write what a training that was stopped needs to go on after `step` steps."""
        state = {
            "step": step,
            "masters": self.masters,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    @torch.no_grad()
    def load(self, path: Path) -> int:
        """Take over a saved state; returns how many steps it has seen."""
        state = torch.load(path)
        pairs = zip(self.parameters, self.masters, state["masters"], strict=True)
        for parameter, master, saved in pairs:
            master.copy_(saved)
            parameter.copy_(saved)
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        return int(state["step"])

    @torch.no_grad()
    def restore(self) -> None:
        """Give the network its float32 weights back."""
        for parameter, master in zip(self.parameters, self.masters, strict=True):
            parameter.data = master.clone()


def to_device(batch: Batch, device: str) -> Batch:
    """Move every tensor of a batch."""

    def move(value: object) -> object:
        if isinstance(value, Tensor):
            return value.to(device, non_blocking=True)
        if isinstance(value, FrameTargets):
            return FrameTargets(*(getattr(value, f.name).to(device) for f in fields(value)))
        return value

    return Batch(*(move(getattr(batch, f.name)) for f in fields(batch)))  # type: ignore[arg-type]


class Progress:
    """Running accuracy of the first reply token by kind of question, and mean losses.

    Every training question is about a video that was never seen, so this is held-out accuracy.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self.started = time.monotonic()
        self._clear()

    def _clear(self) -> None:
        self.hits: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        self.losses: dict[str, list[float]] = defaultdict(list)

    def add(self, batch: Batch, parts: dict[str, Tensor], predictions: Tensor) -> None:
        for name, part in parts.items():
            self.losses[name].append(part.item())
        where = batch.labels != IGNORED
        right = (predictions == batch.labels[where]).tolist()
        kinds = batch.kinds[where].tolist()
        names = list(KIND_NUMBERS)
        frames = batch.frames.shape[1] if batch.frames is not None else 0
        for hit, kind in zip(right, kinds, strict=True):
            if kind == IGNORED:
                continue
            keys = [names[kind]] if frames in (0, 16) else []
            if names[kind].endswith("(letter)"):
                keys.append(f"{frames} frames")
            for key in keys:
                key = f"text {key}" if frames == 0 else key
                self.hits[key][0] += hit
                self.hits[key][1] += 1

    def report(self, step: int, rate: float) -> None:
        seconds = time.monotonic() - self.started
        losses = {name: round(sum(v) / len(v), 3) for name, v in self.losses.items()}
        hits = {
            name: round(100 * right / count) for name, (right, count) in sorted(self.hits.items())
        }
        line = {"step": step, "seconds": round(seconds), "rate": rate, **losses, **hits}
        with self.log.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        print(line, flush=True)
        self._clear()


def train(
    model: LlavaNextVideoForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    plan: TrainingPlan,
    is_held_out: Callable[[Scene], bool],
    device: str,
    work_dir: Path,
) -> None:
    """Train `model` in place; goes on from the state in the work folder if there is one."""
    network = TrainingNetwork(model, tokenizer, compile_decoder=True).to(device)
    model.set_attn_implementation("eager")
    weights = MasterWeights(network, plan)
    for parameter in network.parameters():
        parameter.data = parameter.data.to(torch.bfloat16)
    state = work_dir / "state.pt"
    first = weights.load(state) if state.exists() else 0
    loader: DataLoader[Batch] = DataLoader(
        _Steps(plan, tokenizer, is_held_out),
        batch_size=None,
        sampler=range(first, plan.steps),
        num_workers=1,
        prefetch_factor=4,
    )
    progress = Progress(work_dir / "training.jsonl")
    for step, batch in enumerate(loader, start=first):
        batch = to_device(batch, device)
        losses = network(batch)
        losses.total.backward()
        weights.step(plan.rate(step))
        progress.add(batch, losses.parts, losses.predictions)
        if (step + 1) % REPORT_EVERY == 0:
            progress.report(step + 1, plan.rate(step))
        if (step + 1) % SAVE_EVERY == 0:
            weights.save(state, step + 1)
    weights.restore()
