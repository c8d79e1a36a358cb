"""What of a configuration differs from the protocol's and the model's own files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig

from llava_eval.config.composition import compose_root, plain_values, without_hydra
from llava_eval.config.roles import PLACES, flat, is_among

#: Names say themselves; where and how fast work happens changes neither protocol nor model.
_UNSHOWN = (
    *PLACES,
    "benchmark.name",
    "benchmark.adapter.media",
    "benchmark.prepare",
    "benchmark.sample",  # the evaluation writes it as one entry
    "model.device",
)


def differences(
    own: DictConfig, choices: Mapping[str, str], search: Sequence[str]
) -> dict[str, Any]:
    """Return what differs from the benchmark's and the model's own files, by full key.

    The baseline is composed anew from the two choices alone, so nothing has to keep a record of
    who overrode what. A part whose option differs is reported by the option's name, and then
    compared with that option's own values.
    """
    named = [f"{group}={choices[group]}" for group in ("benchmark", "model")]
    baseline = compose_root([*search, *named])
    changed: dict[str, Any] = {}
    swapped = []
    for group in ("sampler", "scorer", "conversation", "quantization"):
        if baseline.hydra.runtime.choices.get(group) != choices.get(group):
            changed[group] = choices.get(group)
            swapped.append(f"{group}={choices.get(group)}")
    if swapped:
        baseline = compose_root([*search, *named, *swapped])
    ours, theirs = flat(plain_values(own)), flat(plain_values(without_hydra(baseline)))
    for key in {**ours, **theirs}:
        unset = theirs.get(key) == "???"  # left for the user to fill in: no override of anything
        if ours.get(key) != theirs.get(key) and not is_among(key, _UNSHOWN) and not unset:
            changed[key] = ours.get(key)
    return changed


def short_keys(changed: Mapping[str, Any], parts: Sequence[str]) -> dict[str, Any]:
    """Return the changes of some parts under their last key, or a longer one where two clash."""
    mine = {key: value for key, value in changed.items() if key.split(".")[0] in parts}
    lasts = [key.rpartition(".")[2] for key in mine]
    return {
        (last if lasts.count(last) == 1 else key): value
        for (key, value), last in zip(mine.items(), lasts, strict=True)
    }
