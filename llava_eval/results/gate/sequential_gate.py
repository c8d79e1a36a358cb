"""A gate that watches a run and ends it as soon as the verdict is known."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from llava_eval.benchmarks.load import seeded_order
from llava_eval.borders.typed_json import as_type
from llava_eval.errors import ComparisonError, ConfigError
from llava_eval.metrics.means import values_under
from llava_eval.metrics.sequential import ConfidenceSequence
from llava_eval.results.compare.pairing import is_mean, metric_of
from llava_eval.results.cost import Cost
from llava_eval.results.formatting import count, interval, markdown_text, number, wrapped
from llava_eval.results.gate.baseline import is_prompt_of, read_baseline
from llava_eval.results.gate.rule import GateRule, judged_pairing
from llava_eval.results.gate.verdict import Check, checks_table, markdown_title
from llava_eval.results.runs import ComparableRun, ConfigParts, RunReader
from llava_eval.scoring.scorer import SampleScorer
from llava_eval.types import Generation, Sample, SampleResult

SequentialVerdict = Literal["regressed", "no worse", "not shown"]

log = logging.getLogger(__name__)


@dataclass
class SequentialGate:
    """Compares a run with a baseline during the run.

    Groups (videos) are answered in a seeded order. Each group's part of the headline's difference
    is one observation of :class:`~llava_eval.metrics.sequential.ConfidenceSequence`, in this order
    no matter which group finishes first. The run ends once the bounds show that the metric is worse
    by more than the tolerance, or that it is not; the probability that either verdict is wrong is
    at most ``alpha``.

    A sample that failed, or that the metric does not count, has the value 0 here.

    Attributes:
        baseline_path: a baseline file, or a run directory.
        rule: alpha, and the tolerance of the headline metric.
        seed: the seed of the order.
        config_dir: the user's own configuration files.
        label, benchmark: the run's benchmark with and without overrides.
        directory: the run directory, once the run has ended.
        num_failed: number of failed samples, if it is more than the run allows; 0 otherwise.
    """

    baseline_path: Path
    rule: GateRule
    seed: int = 0
    config_dir: Path | None = None
    label: str = ""
    benchmark: str = ""
    directory: Path = Path()
    num_failed: int = 0
    _metric: str = ""
    _parameters: Mapping[str, Any] = field(default_factory=dict)
    _late_prompts: Mapping[str, str] = field(default_factory=dict)
    _before: dict[str, float] = field(default_factory=dict)
    _members: dict[str, list[str]] = field(default_factory=dict)
    _after: dict[str, float] = field(default_factory=dict)
    _bounds: ConfidenceSequence | None = None
    _compared: list[str] = field(default_factory=list)
    _failed: set[str] = field(default_factory=set)

    def begin(
        self, samples: Sequence[Sample], config: Mapping[str, Any], scorer: object, label: str
    ) -> None:
        """Read the baseline, and raise if the run cannot be compared with it.

        Args:
            samples: the run's samples.
            config: the run's resolved configuration.
            scorer: the run's scorer.
            label: the benchmark with overrides.

        Raises:
            LlavaEvalError: the baseline cannot be read, or the two cannot be compared.
        """
        planned = _planned(samples, config, label)
        self.label, self.benchmark = label, planned.benchmark
        baseline = read_baseline(self.baseline_path, planned, RunReader(self.config_dir))
        # A prompt that depends on the frames is compared later, once they are decoded.
        late = {sample.id for sample in samples if sample.frame_dependent_parts}
        late_of_baseline = {item.id: item for item in baseline.results if item.id in late}
        results = [
            replace(item, prompt=late_of_baseline.get(item.id, item).prompt)
            for item in planned.results
        ]
        judged_pairing(replace(planned, results=results), baseline)
        self._late_prompts = {
            item.id: item.prompt
            for item in late_of_baseline.values()
            if item.generation.error is None
        }
        self._metric, node = next(iter(baseline.metric_nodes.items()))
        is_mean_in_percent = is_mean(node) and node.get("scale", 100.0) == 100.0
        if not isinstance(scorer, SampleScorer) or not is_mean_in_percent:
            raise ComparisonError(
                f"gate --sequential needs a mean over samples in percent that are scored one by "
                f"one, and {self._metric} is none"
            )
        if self.rule.max_slowdown is not None:
            raise ConfigError("gate --sequential checks no --max-slowdown")
        tolerance = self.rule.tolerance.get(self._metric, 0.0)
        if not tolerance > 0 or len(self.rule.tolerance) > 1:
            raise ConfigError(
                f"gate --sequential needs --tolerance {self._metric}=POINTS above 0, and no other"
            )
        self._parameters = getattr(metric_of(node), "keywords", {})
        self._before = self._values(baseline.results)
        for sample in samples:
            self._members.setdefault(sample.group, []).append(sample.id)
        order = seeded_order(self._members, self.seed)
        self._members = {group: self._members[group] for group in order}
        share = len(samples) / (len(self._members) * self._largest)
        bounds = self.rule.alpha, -tolerance / 100 * share
        self._bounds = ConfidenceSequence(*bounds)
        if not _equal_run_passes(ConfidenceSequence(*bounds), len(self._members)):
            log.warning(
                "%s (videos) are too few for a tolerance of %g: even a run with the baseline's own "
                "answers is not shown to be no worse; gate without --sequential needs no proof",
                count(len(self._members), "group"),
                tolerance,
            )

    def order(self, samples: Sequence[Sample]) -> list[Sample]:
        """Return samples in the seeded order of their groups."""
        indices = {name: index for index, name in enumerate(self._members)}
        return sorted(samples, key=lambda sample: indices[sample.group])

    def add(self, result: SampleResult) -> None:
        """Add one result.

        Args:
            result: a result with its score.

        Raises:
            ComparisonError: its prompt is not that of the baseline's sample.
        """
        prompt = self._late_prompts.get(result.id) if result.generation.error is None else None
        if prompt is not None and not is_prompt_of(prompt, result):
            raise ComparisonError(
                f"the run and {self.baseline_path} were not asked the same: the prompt of "
                f"{result.id} differs"
            )
        self._after |= self._values([result])
        if result.generation.error is not None:
            self._failed.add(result.id)
        bounds = self._bounds
        assert bounds is not None
        for ids in list(self._members.values())[bounds.num_observations :]:
            if self.is_done or any(name not in self._after for name in ids):
                break
            change = sum(self._after[name] - self._before[name] for name in ids)
            bounds.add(change / self._largest)
            self._compared += ids

    @property
    def is_done(self) -> bool:
        """Whether the verdict is known."""
        return self.verdict != "not shown"

    @property
    def verdict(self) -> SequentialVerdict:
        """The verdict so far."""
        assert self._bounds is not None
        if self._bounds.is_below:
            return "regressed"
        return "no worse" if self._bounds.is_above else "not shown"

    @property
    def content(self) -> dict[str, Any]:
        """The verdict and its data as JSON values, in percent."""
        assert self._bounds is not None
        bounds, total = self._bounds, max(1, len(self._compared))
        scale = 100 * len(self._members) * self._largest / sum(map(len, self._members.values()))
        before, after = (
            100 * sum(side[name] for name in self._compared) / total
            for side in (self._before, self._after)
        )
        return {
            "verdict": self.verdict,
            "metric": self._metric,
            "baseline": before,
            "run": after,
            "difference": after - before,
            "low": max(-100.0, scale * bounds.low),
            "high": min(100.0, scale * bounds.high),
            "tolerance": self.rule.tolerance[self._metric],
            "alpha": self.rule.alpha,
            "num_groups": bounds.num_observations,
            "num_samples": len(self._compared),
            "of_groups": len(self._members),
            "of_samples": sum(map(len, self._members.values())),
            "num_failed": self.num_failed,
        }

    @property
    def checks(self) -> list[Check]:
        """The check of the headline metric, and one of failed samples if there are too many."""
        content = self.content
        level = f"{100 * (1 - 2 * self.rule.alpha):.4g} %"
        bounds = interval(content["low"], content["high"], signed=True)
        before, after, allowed = (number(content[key]) for key in ("baseline", "run", "tolerance"))
        change = number(content["difference"], signed=True)
        check = Check(
            *(self._metric, before, after, change, bounds, allowed),
            self.verdict == "regressed",
            f"{self._metric} {before} in the baseline, {after} now: {change} ({level} {bounds}, "
            f"valid whenever one stops), {allowed} allowed",
            is_shown=self.verdict == "no worse",
        )
        if not self.num_failed:
            return [check]
        message = f"{count(self.num_failed, 'sample')} failed"
        return [check, Check("errors", "-", str(self.num_failed), "-", "-", "-", True, message)]

    @property
    def outcome(self) -> str:
        """The verdict in a few words."""
        if self.verdict == "no worse" and self.num_failed:
            return "regressed: errors"
        return {
            "regressed": f"regressed: {self._metric} is worse by more than the tolerance",
            "no worse": "passed: shown to be worse by less than the tolerance, if at all",
            "not shown": "not shown to be no worse, by all samples",
        }[self.verdict]

    @property
    def _seen(self) -> str:
        content = self.content
        num_failed = len(self._failed.intersection(self._compared))
        return (
            f"after {content['num_samples']} of {count(content['of_samples'], 'sample')} "
            f"({content['num_groups']} of {count(content['of_groups'], 'group')}), seed {self.seed}"
            + (f"; failed samples, {num_failed} here, count 0" if num_failed else "")
        )

    @property
    def properties(self) -> dict[str, str]:
        """The paths of the run and the baseline."""
        return {"run": str(self.directory), "baseline": str(self.baseline_path)}

    def text(self, *, width: int = 80) -> str:
        """Return the verdict as text for the terminal."""
        lines = [*(check.message for check in self.checks), self._seen, "", self.outcome]
        return "\n".join(wrapped(line, width) if line else "" for line in lines)

    def markdown(self) -> str:
        """Return the verdict as Markdown for a pull request."""
        blocks = [
            markdown_title(self.outcome, self.checks),
            f"{markdown_text(self.label)}, {self._seen}; the interval holds whenever one stops.",
            checks_table(self.checks, 1 - 2 * self.rule.alpha).to_markdown(),
        ]
        return "\n\n".join(blocks) + "\n"

    @property
    def _largest(self) -> int:
        return max(map(len, self._members.values()))

    def _values(self, results: Sequence[SampleResult]) -> dict[str, float]:
        """Return the samples' values by id; raise unless they lie in [0, 1]."""
        values = {}
        for result, value in zip(results, values_under(self._parameters, results), strict=True):
            values[result.id] = 0.0 if math.isnan(value) else float(value)
            if not 0 <= values[result.id] <= 1:
                raise ComparisonError(f"{result.id}: {self._metric} is {value}, expected 0 to 1")
        return values


def _equal_run_passes(bounds: ConfidenceSequence, num_groups: int) -> bool:
    """Return whether a run without any change would be shown to be no worse.

    Args:
        bounds: bounds without any observation.
        num_groups: number of the run's groups.
    """
    for _ in range(num_groups):
        bounds.add(0.0)
        if bounds.is_above:
            return True
    return False


def _planned(samples: Sequence[Sample], config: Mapping[str, Any], label: str) -> ComparableRun:
    """Return a run without any answers yet, for a comparison with a baseline."""
    return ComparableRun(
        name="the run",
        label=label,
        model="",
        config=config,
        parts=as_type(config, ConfigParts),
        results=[SampleResult.of(sample, Generation("")) for sample in samples],
        cost=Cost(0),
        origin={},
        incomplete=None,
        allowed_targets=frozenset(),
    )
