"""A configured benchmark: its parts, built once and checked against each other, and its rows."""

from __future__ import annotations

import dataclasses
import inspect
import json
import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llava_eval.benchmarks.load import Adapter, read_samples
from llava_eval.config.build import build_target
from llava_eval.config.choices import listing, suggest
from llava_eval.config.compose import ComposedConfig
from llava_eval.config.experiments import benchmark_of
from llava_eval.config.schema import JudgeConfig, RunConfig
from llava_eval.engine.batches import PromptSettings, check_sampler
from llava_eval.errors import ConfigError, RowsError, first_line
from llava_eval.metrics.differences import Metric
from llava_eval.models.clock import StageClock
from llava_eval.models.configured_model import check_model
from llava_eval.results.exchange.submission import SubmissionMaker, written_id
from llava_eval.results.summary import (
    Summary,
    compare_to_published,
    named_with_overrides,
    summarise,
)
from llava_eval.results.tables import all_values
from llava_eval.scoring.evaluation import Evaluation
from llava_eval.scoring.judge.report import JudgeReport
from llava_eval.scoring.scorer import JudgedScorer, Scorer, checked_scorer
from llava_eval.types import Generation, MetricValue, Sample, SampleResult, levels_of

log = logging.getLogger(__name__)

#: Example replies that a submission file must be able to represent.
_EXAMPLE_REPLIES = ("A", "a red ball", "")

#: Parameters of our metrics whose values are names of facets.
_FACET_SETTINGS = frozenset({"facet", "outer", "inner", "mean_over"})
#: Parameters of our metrics whose values are levels of the facet named by "facet" or "outer".
_LEVEL_SETTINGS = ("level", "levels", "over", "only", "without")


@dataclass(frozen=True)
class Parts:
    """The functions and objects that a configuration names.

    Attributes:
        adapter: turns rows into samples.
        scorer: scores generations.
        metrics: metrics by name; the first is the headline.
        submission: makes the file for an evaluation server that knows the hidden answers.
        judge: settings of the judge, if the scorer needs one.
        prompts: settings shared by all requests.
    """

    adapter: Adapter
    scorer: Scorer | JudgedScorer
    metrics: Mapping[str, Metric]
    submission: SubmissionMaker | None
    judge: JudgeConfig | None
    prompts: PromptSettings

    @classmethod
    def build(cls, config: RunConfig) -> Parts:
        """Build every part that the configuration names, without reading rows or weights.

        Raises:
            ConfigError: a part cannot be built, its parameters are invalid, or it does not fit
                the others.
        """
        benchmark = config.benchmark
        scorer = checked_scorer(build_target(config.scorer, key="scorer"))
        metrics = {name: _metric(name, node) for name, node in benchmark.metrics.items()}
        submission: SubmissionMaker | None = None
        if benchmark.submission:
            submission = build_target(benchmark.submission, key="benchmark.submission")
            _check_submission(submission, scorer, benchmark.facets)
        if isinstance(scorer, JudgedScorer) and not config.judge.model:
            raise ConfigError(
                f"judge.model is not set, and {benchmark.name} is judged by a model; give "
                "judge.model=..."
            )
        _check_names(config, metrics)
        check_model(config)
        return cls(
            adapter=build_target(benchmark.adapter, key="benchmark.adapter"),
            scorer=scorer,
            metrics=metrics,
            submission=submission,
            judge=config.judge if isinstance(scorer, JudgedScorer) else None,
            prompts=PromptSettings.of(config),
        )


def _metric(name: str, node: Any) -> Metric:
    """Build a metric, and check it by calling it with no results.

    Raises:
        ConfigError: it cannot be built, or it does not return a valid MetricValue.
    """
    key = f"benchmark.metrics.{name}"
    metric: Metric = build_target(node, key=key)
    try:
        value = metric([])
    except (TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise ConfigError(
            f"{key}: {type(error).__name__}: {first_line(error)} (given no results; expected a "
            "MetricValue)"
        ) from error
    if not isinstance(value, MetricValue):
        raise ConfigError(
            f"{key}: got a {type(value).__name__}, expected a MetricValue (llava_eval.types)"
        )
    if not _is_ours(metric):
        _check_value(key, value, needs_finite=False)  # the mean of nothing may be NaN
    return metric


def _is_ours(part: Callable[..., Any]) -> bool:
    module: str = getattr(getattr(part, "func", part), "__module__", "")
    return module.startswith("llava_eval.")


def _check_value(key: str, value: MetricValue, *, needs_finite: bool) -> None:
    """Raise ConfigError if a user's own metric returns values that no table can show.

    If a metric of ours did so, it would be a defect.
    """

    def fits(name: str, item: Any) -> bool:
        if name == "num_samples":
            return isinstance(item, int)
        if name in ("unit", "note"):
            return isinstance(item, str)
        if item is None:
            return True
        is_number = isinstance(item, int | float) and not isinstance(item, bool)
        return is_number and (math.isfinite(item) or not needs_finite)

    given = {entry.name: getattr(value, entry.name) for entry in dataclasses.fields(MetricValue)}
    strange = [f"{name}={item!r}" for name, item in given.items() if not fits(name, item)]
    if strange:
        raise ConfigError(
            f"{key} gave a MetricValue with {', '.join(strange)}; expected finite plain numbers or "
            "None, an int as num_samples and texts as unit and note"
        )


def _check_submission(
    maker: SubmissionMaker, scorer: Scorer | JudgedScorer, facets: Sequence[str]
) -> None:
    """Raise ConfigError if the submission file cannot represent answers read by the scorer.

    A file of option numbers, for instance, needs a scorer that reads letters. This is tried on
    example replies, so that a run does not fail at its end. A scorer that cannot handle the example
    question (because it expects numbers or times) is not checked.
    """
    if isinstance(scorer, JudgedScorer):
        return
    choices = ("a red ball", "a blue ball")
    levels = dict.fromkeys(facets, "unknown")
    sample = Sample("1", 0, "1", ("Which?",), ("A",), choices, "Which?", levels, choices)
    for reply in _EXAMPLE_REPLIES:
        generation = Generation(reply, option_losses=(0.0, 1.0))
        try:
            (score,) = scorer.score_all([generation], [sample])
        except Exception:  # noqa: BLE001 - a user's own scorer may raise anything
            return
        result = dataclasses.replace(SampleResult.of(sample, generation), score=score)
        try:
            content = maker([result])
            if not isinstance(content, bytes):
                json.dumps(content, allow_nan=False)
        except Exception as error:  # and so may a user's own submission function
            raise ConfigError(
                f"benchmark.submission does not fit the scorer: of {reply!r} it reads "
                f"{score.answer!r}, and the file cannot hold that ({error})"
            ) from error


def _check_written_ids(maker: SubmissionMaker, samples: Sequence[Sample]) -> None:
    """Raise ConfigError if a submission of ours would contain two samples with the same id."""
    settings = _settings_of(maker)
    if "id_form" not in settings:
        return
    owners: dict[str | int, str] = {}
    for sample in samples:
        written = written_id(sample.id, settings["id_format"], settings["id_form"])
        owner = owners.setdefault(written, sample.id)
        if owner != sample.id:
            raise ConfigError(
                f"benchmark.submission: samples {owner!r} and {sample.id!r} would both have the id "
                f"{written!r} in the file (id_format={settings['id_format']}, "
                f"id_form={settings['id_form']}); benchmark.submission=null writes none"
            )


def _check_names(config: RunConfig, metrics: Mapping[str, Metric]) -> None:
    """Raise ConfigError for an unknown name of a metric or facet.

    Otherwise it would fail the run at its end, or silently leave out a table.
    """
    benchmark = config.benchmark
    metric_names = ", ".join(benchmark.metrics) or "none"
    facet_names = ", ".join(benchmark.facets) or "none"
    named = [("benchmark.facet_metrics", name) for name in benchmark.facet_metrics or ()]
    named += [("published", number.metric) for number in config.published]
    for key, name in named:
        if name not in benchmark.metrics:
            raise ConfigError(f"{key}: there is no metric {name!r}; metrics: {metric_names}")
    for number in config.published:
        if number.facet not in (None, *benchmark.facets):
            raise ConfigError(
                f"published: there is no facet {number.facet!r}; facets: {facet_names}"
            )
    for name, metric in metrics.items():
        for key, facet in _facets_of(metric).items():
            if facet not in benchmark.facets:
                raise ConfigError(
                    f"benchmark.metrics.{name}.{key}: there is no facet {facet!r}; "
                    f"benchmark.facets has to name it (it has {facet_names})"
                )


def _facets_of(metric: Metric) -> dict[str, str]:
    """Return the facets that parameters of a metric of ours name, by parameter."""
    settings = _settings_of(metric)
    named = {key: settings[key] for key in _FACET_SETTINGS & settings.keys()}
    return {key: facet for key, facet in named.items() if isinstance(facet, str)}


def _settings_of(part: Callable[..., Any]) -> dict[str, Any]:
    """Return the parameters bound to a function of ours; empty for a user's own function."""
    if not _is_ours(part):
        return {}
    return {key: given.default for key, given in inspect.signature(part).parameters.items()}


def _warn_of_levels(metrics: Mapping[str, Metric], samples: Sequence[Sample]) -> None:
    """Warn if a metric's parameter names a level that no sample of the whole set has."""
    for name, metric in metrics.items():
        settings, facets = _settings_of(metric), _facets_of(metric)
        facet = facets.get("facet", facets.get("outer"))
        if facet is None:
            continue
        own = {sample.facets[facet] for sample in samples}
        present = own.union(*map(levels_of, own))
        for key in _LEVEL_SETTINGS:
            value = settings.get(key)
            for level in [value] if isinstance(value, str) else value or ():
                if level not in present:
                    text = "benchmark.metrics.%s.%s: no sample has the %s %r; levels: %s"
                    log.warning(text, name, key, facet, level, listing(sorted(present)))


@dataclass(frozen=True)
class Benchmark:
    """A benchmark with its samples.

    Attributes:
        composed: the configuration.
        parts: the functions and objects that it names.
        samples: samples in the order of the rows.
        num_read: number of samples of all rows that were read, if ``samples`` is a part of them.
    """

    composed: ComposedConfig
    parts: Parts
    samples: Sequence[Sample]
    num_read: int | None = None

    @classmethod
    def read(cls, composed: ComposedConfig, clock: StageClock) -> Benchmark:
        """Build the parts of a configuration, and turn its rows into samples.

        Raises:
            ConfigError: a part cannot be built, or does not fit the others.
            RowsError: the rows cannot be used.
        """
        parts = Parts.build(composed.config)
        with clock.stage("load_rows"):
            samples = read_samples(composed.config.benchmark, parts.adapter)
        if parts.submission is not None:
            _check_written_ids(parts.submission, samples)
        if any(medium.start_seconds for sample in samples for medium in sample.media):
            check_sampler(parts.prompts.sampler, first_frame=50)
        if parts.prompts.keeps_choice_logprobs and not any(
            sample.choices and not sample.options for sample in samples
        ):
            raise ConfigError(
                f"runner.keep_choice_logprobs=true: {composed.config.benchmark.name} asks nothing "
                "with options whose letter is generated"
            )
        benchmark = composed.config.benchmark
        is_part = benchmark.limit or benchmark.where or benchmark.subsample.size
        if not is_part and benchmark.num_rows in (None, len(samples)):
            _warn_of_levels(parts.metrics, samples)
        return cls(composed, parts, samples)

    def part(self, ids: Collection[str]) -> Benchmark:
        """Return the benchmark with only some of its samples.

        Raises:
            RowsError: there is no sample with one of the ids.
        """
        wanted = set(ids)
        samples = [sample for sample in self.samples if sample.id in wanted]
        missing = sorted(wanted - {sample.id for sample in samples})
        if missing:
            raise RowsError(
                f"{self.config.benchmark.name}: no sample {missing[0]!r}"
                + suggest(missing[0], [sample.id for sample in self.samples])
                + (f", nor {len(missing) - 1} others" if missing[1:] else "")
            )
        return dataclasses.replace(self, samples=samples, num_read=len(self.samples))

    @property
    def config(self) -> RunConfig:
        """The typed configuration."""
        return self.composed.config

    @property
    def label(self) -> str:
        """Name of benchmark and protocol, followed by every override."""
        return self._label({})

    @property
    def evaluation(self) -> Evaluation:
        """The object that scores results of these samples."""
        return Evaluation(
            self.samples,
            self.parts.scorer,
            judge=self.parts.judge,
            reply=self.config.benchmark.reply,
        )

    def summary(
        self,
        results: Sequence[SampleResult],
        model: str | None,
        judge: JudgeReport | None,
        notes: Sequence[str] = (),
    ) -> Summary:
        """Compute the metrics of all results.

        Args:
            results: scored results.
            model: label of the model; None if unknown.
            judge: report on the judge, if there is one; the judge is then named in the label.
            notes: caveats that apply to every number.
        """
        benchmark = self.config.benchmark
        numbers = summarise(
            results,
            self.parts.metrics,
            benchmark=self._label({} if judge is None else judge.label),
            model=model,
            facets=benchmark.facets,
            facet_metrics=benchmark.facet_metrics,
            chance=benchmark.chance,
        )
        for facet, level, name, value in all_values(numbers):
            if not _is_ours(self.parts.metrics[name]):
                part = f" (of {facet} {level})" if facet else ""
                _check_value(f"benchmark.metrics.{name}{part}", value, needs_finite=True)
        notes, published = list(notes), self.config.published
        if (other := self._published_of) is not None:
            notes.append(f"published numbers are of {other}, and are not shown beside these")
            published = []
        return dataclasses.replace(
            numbers,
            judge=None if judge is None else judge.content,
            notes=(*numbers.notes, *notes),
            published=tuple(compare_to_published(numbers, number) for number in published),
        )

    @property
    def _published_of(self) -> str | None:
        """What the published numbers belong to, if not to this benchmark; otherwise None."""
        choices = self.composed.choices
        own = benchmark_of(choices.get("experiment"))
        if own is not None and own.partition("/")[0] != choices["benchmark"].partition("/")[0]:
            return own
        is_other_split = bool(self.config.published) and self._is_of_another_split
        return "the protocol's own split" if is_other_split else None

    @property
    def _is_of_another_split(self) -> bool:
        return "split" in self.composed.benchmark_overrides

    @property
    def _num_rows(self) -> int | None:
        """Number of rows of the complete set; None for another split or a larger subset."""
        known, chosen = self.config.benchmark.num_rows, self.composed.benchmark_overrides
        if known is None or self._is_of_another_split:
            return None
        is_larger_subset = "subset" in chosen and len(self.samples) > known
        return None if is_larger_subset else known

    def _label(self, judged: Mapping[str, Any]) -> str:
        benchmark, composed = self.config.benchmark, self.composed
        overrides = {**composed.benchmark_overrides, **composed.judge_overrides}
        if self.parts.judge is not None:
            overrides["judge"] = self.parts.judge.model
        if self.num_read not in (None, len(self.samples)):
            overrides["samples"] = f"{len(self.samples)} of {self.num_read}"
        elif benchmark.limit is None and self._num_rows not in (None, len(self.samples)):
            overrides["rows"] = f"{len(self.samples)} of {self._num_rows}"
        return named_with_overrides(benchmark.name, {**overrides, **judged})
