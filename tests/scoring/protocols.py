"""A protocol's adapter and scorer, built from its own file."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from llava_eval.benchmarks.load import Adapter
from llava_eval.benchmarks.rows import Row
from llava_eval.config.build import build_target
from llava_eval.config.compose import compose_config
from llava_eval.config.schema import ReplyConfig
from llava_eval.scoring.scorer import ReplyScorer
from llava_eval.types import Sample, Score


class Protocol(NamedTuple):
    """What scores one row's reply."""

    adapter: Adapter
    scorer: Any
    reply: ReplyConfig

    def sample(self, row: dict[str, Any], number: int = 0) -> Sample:
        """Return the one sample of a row."""
        sample = self.adapter(Row(number, row, "rows.jsonl"))
        if not isinstance(sample, Sample):
            (sample,) = sample
        return sample

    def score(self, reply: str, sample: Sample) -> Score:
        """Return what the protocol's scorer makes of a reply that holds no reasoning."""
        assert isinstance(self.scorer, ReplyScorer)
        return self.scorer.score(reply.strip() if self.reply.strip else reply, sample)


@functools.cache
def protocol(name: str, *overrides: str) -> Protocol:
    """Return the parts of a protocol."""
    composed = compose_config([f"benchmark={name}", *overrides])
    benchmark = composed.config.benchmark
    return Protocol(
        build_target(benchmark.adapter, key="benchmark.adapter"),
        build_target(composed.config.scorer, key="scorer"),
        benchmark.reply,
    )
