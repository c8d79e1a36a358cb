"""Decides whether prompts may share prefixes, by trying it on a run's first prompts.

The reference is the model's forward pass over the processor's inputs for the whole prompt. Sharing
is compared with it once for each kind of prompt (videos, images, several media; texts or
likelihoods), with the first groups of a run and all their frames. If results differ, or sharing
raises an exception, prompts of that kind run whole (:mod:`llava_eval.models.local.whole_prompts`).
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch

from llava_eval.errors import CheckpointError, ForwardError
from llava_eval.models.clock import StageClock
from llava_eval.models.local.guards import LogitComparison, compare_steps
from llava_eval.models.local.llava_next_video import FeaturePrefixes
from llava_eval.models.local.microbatch import PromptGroup, group_of_one
from llava_eval.models.local.prefix import Prefix, PromptBatch, RowRule, joined, prefill
from llava_eval.models.local.whole_prompts import WholeBatches

log = logging.getLogger(__name__)

#: Which whole prompts run together, in words.
_TOGETHER = {
    RowRule.PADDED: "padded",
    RowRule.EQUAL: "of equal length together",
    RowRule.SINGLE: "one at a time",
}

#: Trials by model and kind of prompt, reused by the next run of a sweep.
_known: WeakKeyDictionary[Any, dict[Hashable, SharingTrial]] = WeakKeyDictionary()


@dataclass(frozen=True)
class SharingTrial:
    """The result of a trial for one kind of prompt.

    Attributes:
        problem: why prefixes are not shared, in words; None if they are.
        way: how they are shared, for the manifest.
        comparison: comparison of logits; None if nothing could be compared.
        paddings: where rows were padded in the trial, see :func:`_paddings`.
    """

    problem: str | None
    way: str = ""
    comparison: LogitComparison | None = None
    paddings: frozenset[str] = frozenset()


@dataclass
class PrefixSharing:
    """Runs groups of prompts with shared prefixes, if trials have shown that to be correct.

    Attributes:
        whole: runs whole prompts of the same model.
        clock: records the seconds of the stages "vision" and "prefill".
        features: encodes media separately from prompts; None uses the model's own forward pass.
        is_required: prompts that cannot share a prefix are an error instead of running whole.
    """

    whole: WholeBatches
    clock: StageClock
    features: FeaturePrefixes | None
    is_required: bool
    _trials: dict[str, SharingTrial] = field(default_factory=dict, init=False)

    @property
    def paths(self) -> dict[str, str]:
        """How prompts run, by the media that they show, for the manifest."""
        paths = {}
        for name in {**self._trials, **self.whole.rules}:
            trial = self._trials.get(name, SharingTrial("they share no prefix"))
            if trial.problem is None:
                paths[name] = f"shared prefixes by {trial.way}"
                continue
            rules = self.whole.rules.get(name, {RowRule.SINGLE})
            together = " or ".join(words for rule, words in _TOGETHER.items() if rule in rules)
            paths[name] = f"whole prompts, {together}: {trial.problem}"
        return paths

    def batches(self, groups: Sequence[PromptGroup], batch_size: int) -> Iterator[PromptBatch]:
        """Yield the questions of some groups that share prefixes, in batches that are ready to run.

        Raises:
            ForwardError: the model fails.
        """
        for prefix in self._prefixes(groups):
            yield from prefix.batches(self.whole.loaded, batch_size)

    def may_share(self, group: PromptGroup) -> bool:
        """Return whether a trial has allowed a group to share its prefix."""
        trial = _known.setdefault(self.whole.loaded.model, {}).get(self._key(group))
        return bool(group.prefix_length) and trial is not None and trial.problem is None

    def try_first(self, groups: Sequence[PromptGroup]) -> LogitComparison | None:
        """Try the first groups of each kind that was not tried yet, or not with such padding.

        Returns:
            The comparison of the first kind, for the manifest.

        Raises:
            CheckpointError: sharing is required, but prompts of one kind must not share.
        """
        known = _known.setdefault(self.whole.loaded.model, {})
        by_key: dict[Hashable, list[PromptGroup]] = {}
        for group in groups:
            if group.prefix_length:
                by_key.setdefault(self._key(group), []).append(group)
        for key, alike in by_key.items():
            trial = known.get(key)
            # Try again if rows are padded in a place that the earlier trial did not cover.
            if trial is None or (trial.problem is None and _paddings(alike) - trial.paddings):
                trial = self._try_new(key, alike, known)
            self._trials[alike[0].prompts[0].media_name] = trial
            if trial.problem is not None and self.is_required:
                raise CheckpointError(
                    f"{self.whole.loaded.name}: {trial.problem}; set runner.share_prefixes=false"
                )
        comparisons = (known[key].comparison for key in by_key if key in known)
        return next((item for item in comparisons if item is not None), None)

    def _try_new(
        self, key: Hashable, alike: Sequence[PromptGroup], known: dict[Hashable, SharingTrial]
    ) -> SharingTrial:
        """Try groups of one kind, and store the result for all further ones in ``known``."""
        earlier = known[key].paddings if key in known else frozenset()
        try:
            trial = self._try_together(alike) or self._try_each_medium(alike[0])
            known[key] = replace(trial, paddings=earlier | _paddings(alike))
        except torch.OutOfMemoryError as error:  # the next groups may be smaller
            trial = _refused(error)
            known.pop(key, None)
        if trial.problem is not None:
            name, kind = self.whole.loaded.name, alike[0].prompts[0].media_name
            log.info("%s: prompts with %s are asked as a whole: %s", name, kind, trial.problem)
        return trial

    def _try_together(self, alike: Sequence[PromptGroup]) -> SharingTrial | None:
        """Try some prompts of one kind: two of the first group, and some with other padding.

        Returns:
            The trial; None for separately encoded media that the processor cannot put into one
            prompt (videos of different lengths), because there is no reference to compare with.
        """
        if self.whole.loaded.length_dependence is not None:
            return SharingTrial(self.whole.loaded.length_dependence)
        groups = _examples(alike)
        prompts = [prompt for group in groups for prompt in group.prompts]
        try:
            whole = [self.whole.writer.whole_inputs(prompt) for prompt in prompts]
        except ForwardError as error:
            is_single = len(prompts[0].request.prepared_media) == 1
            return None if self.features is not None and not is_single else _refused(error)
        try:
            for prompt, inputs in zip(prompts, whole, strict=True):
                num_ids = inputs["input_ids"].shape[1]
                if tuple(inputs["input_ids"][0].tolist()) != prompt.token_ids:  # composed by us
                    raise ForwardError(
                        f"sample {prompt.request.id}: its tokens depend on how media placeholders "
                        f"are expanded ({num_ids} against {len(prompt.token_ids)})"
                    )
            with torch.inference_mode():
                comparison, way = self._compare(groups)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - any exception in a trial means "do not share"
            return _refused(error)
        if comparison is None:
            return SharingTrial("its logits are not finite")
        problem = None if comparison.agrees else comparison.describe("after a shared prefix")
        return SharingTrial(problem, way, comparison)

    def _try_each_medium(self, group: PromptGroup) -> SharingTrial:
        """Try each medium of a group in its own prompt; return the first failed or last trial."""
        request = group.prompts[0].request
        trial: SharingTrial | None = None
        for medium in request.prepared_media:
            alone_with_text = replace(request, content=(medium, "What is it?"))
            first, *_ = self.whole.writer.prompts(alone_with_text)
            trial = self._try_together([group_of_one(first)])
            if trial is None or trial.problem is not None:
                break
        return trial or SharingTrial("its prompts cannot be made as a whole")

    def _compare(self, groups: Sequence[PromptGroup]) -> tuple[LogitComparison | None, str]:
        """Compare logits from shared prefixes with plain ones; return the way of sharing, too."""
        shared: dict[int, list[torch.Tensor]] = {}  # by prompt: (vocabulary,) for each step
        prefixes = self._prefixes(groups)
        way = "the model's own forward pass" if self.features is None else "features"
        for prefix in prefixes:
            for batch in prefix.batches(self.whole.loaded, batch_size=len(groups) + 1):
                steps = self.whole.decoder.first_steps(batch)
                shared.update(zip(map(id, batch.prompts), steps, strict=True))
        pairs = []
        for group in groups:
            for prompt in group.prompts:
                batch = self.whole.alone(prompt)
                (plain,) = self.whole.decoder.first_steps(batch)
                pairs.append((shared[id(prompt)], plain))
        return compare_steps(self.whole.loaded, pairs), f"{way}, {prefixes[0].rule.value}"

    def _prefixes(self, groups: Sequence[PromptGroup]) -> list[Prefix]:
        """Compute the prefixes of some groups, as many together as their rows allow."""
        if self.features is not None:
            counts_padding = self.whole.loaded.plan.kept_generation_settings  # a repetition penalty
            parts = [[group] for group in groups] if counts_padding else [groups]
            return [self.features.prefill(part, self.clock) for part in parts]
        with self.clock.stage("prefill"):
            return joined(
                [prefill(self.whole.loaded, group) for group in groups], self.whole.loaded
            )

    def _key(self, group: PromptGroup) -> Hashable:
        """Return the key of the trial that decides for a group's prompts."""
        first, attention = group.prompts[0], self.whole.loaded.attention
        return first.media_name, first.option is not None, self.features is not None, attention


def _paddings(groups: Sequence[PromptGroup]) -> frozenset[str]:
    """Return which parts of rows are padded if some groups run together."""
    lengths = {
        "prefixes": {group.prefix_length for group in groups},
        "questions": {
            len(prompt.token_ids) - group.prefix_length
            for group in groups
            for prompt in group.prompts
        },
    }
    return frozenset(name for name, of_rows in lengths.items() if len(of_rows) > 1)


def _examples(alike: Sequence[PromptGroup]) -> list[PromptGroup]:
    """Return a few prompts of some groups with the same paddings as all together.

    These are the longest and the shortest of the first group, and single ones of others.
    """
    first = alike[0]
    by_length = sorted(first.prompts, key=lambda prompt: -len(prompt.token_ids))
    pair = tuple({id(prompt): prompt for prompt in (by_length[0], by_length[-1])}.values())
    chosen = [PromptGroup(pair, first.prefix_length)]
    for group in alike[1:]:
        for prompt in group.prompts:
            if _paddings(chosen) == _paddings(alike):
                return chosen
            more = [*chosen, PromptGroup((prompt,), group.prefix_length)]
            if len(_paddings(more)) > len(_paddings(chosen)):
                chosen = more
    return chosen


def _refused(error: Exception) -> SharingTrial:
    return SharingTrial(f"{type(error).__name__}: {error}")
