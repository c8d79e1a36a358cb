"""Differences between two configurations, as changes that can be switched one at a time.

The roles and steps of the schema tell what a key changes. Each key is a change of its own, except
in parts that belong together: a named part, an adapter, a scorer. A sampler's rule and its numbers
are separate changes.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from llava_eval.config.build import TARGET_KEY
from llava_eval.config.former_names import current_node
from llava_eval.config.roles import flat, has_setting, put, role_of, setting_of
from llava_eval.config.schema import Role
from llava_eval.results.runs import Run

#: The work that a change requires: none (it cannot be switched), score, or generate.
Work = Literal["none", "score", "generate"]

#: Names of changes for people; all others have the name of their key.
WORDS: Mapping[str, str] = {
    "benchmark.adapter": "prompt",
    "benchmark.system": "system text",
    "benchmark.generation": "generation",
    "benchmark.reply": "reply before extraction",
    "benchmark.metrics": "denominator",
    "sampler": "frames' rule",
    "sampler.num_frames": "frame count",
    "scorer": "extraction",
    "model.checkpoint": "checkpoint",
    "model.dtype": "dtype",
    "model.attention": "attention",
    "model.processor": "resolution",
}
#: Prefixes of benchmark keys that change no sample's reply and no sample's score.
_SAYS_NOTHING = (
    *("benchmark.facets", "benchmark.facet_metrics", "benchmark.chance"),
    *("benchmark.submission", "benchmark.version"),
)


@dataclass(frozen=True)
class Switch:
    """One change.

    Attributes:
        key: the dotted key of the setting or part.
        ours, theirs: the values that differ, by dotted key.
    """

    key: str
    ours: Mapping[str, Any]
    theirs: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The change's name for people."""
        return WORDS.get(self.key, self.key)

    @property
    def role(self) -> Role:
        """The role of the changed key."""
        return role_of(next(iter(self.ours)))

    @property
    def work(self) -> Work:
        """The work that the change requires."""
        if self.key.partition(".")[0] in ("judge", "engine"):
            return "none"
        # benchmark.reply has keys
        setting = setting_of(self.key) or setting_of(f"{self.key}.reasoning")
        step = None if setting is None else setting.step
        if step == "scoring":
            return "score"
        is_selection = step == "rows" and setting is not None and not setting.makes_samples
        return "none" if is_selection or self.key == "benchmark.subsample" else "generate"


def switches(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[Switch]:
    """Return the changes between two configurations: protocol first, then model, then speed.

    Args:
        ours: our resolved configuration, as in a run's config.yaml.
        theirs: the other side's.
    """
    left, right = flat(ours), flat(theirs)
    changed: dict[str, list[str]] = {}
    for key in {**left, **right}:
        if left.get(key) == right.get(key):
            continue
        do_both_know = has_setting(left, key) and has_setting(right, key)
        is_setting = do_both_know and role_of(key) in ("protocol", "model", "speed")
        if is_setting and not key.startswith(_SAYS_NOTHING):
            changed.setdefault(_unit(key, left, right), []).append(key)
    changes = [
        Switch(unit, {key: left.get(key) for key in keys}, {key: right.get(key) for key in keys})
        for unit, keys in changed.items()
    ]
    order: list[Role] = ["protocol", "model", "speed"]
    return sorted(changes, key=lambda switch: (order.index(switch.role), switch.work))


def _unit(key: str, left: Mapping[str, Any], right: Mapping[str, Any]) -> str:
    """Return the key or part with which a changed leaf is switched."""
    setting = setting_of(key)
    if setting is None:
        return key
    base = setting.key
    if setting.is_free and setting.step == "generation" and not key.endswith(TARGET_KEY):
        return key if key in left and key in right else base
    parts = base.split(".")
    if parts[0] in ("conversation", "quantization"):
        return parts[0]
    return ".".join(parts[:2]) if len(parts) > 2 else base


def switched(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], chosen: list[Switch]
) -> dict[str, Any]:
    """Return our configuration with some changes made.

    The places of media stay ours.

    Args:
        ours: our configuration, as for :func:`switches`.
        theirs: the other side's.
        chosen: the changes.
    """
    changed: dict[str, Any] = copy.deepcopy(dict(ours))
    for switch in sorted(chosen, key=lambda item: item.key.count(".")):
        mine, other = _node(changed, switch.key), _node(theirs, switch.key)
        if isinstance(mine, Mapping) and isinstance(other, Mapping):
            if switch.key == "sampler":  # its numbers stay ours if the other one has them
                numbers = {key: mine[key] for key in mine if key in other and key != TARGET_KEY}
                other = {**other, **numbers}
            if switch.key == "benchmark.adapter":
                roles = {key: role_of(f"{switch.key}.{key}") for key in mine}
                places = {key: mine[key] for key, role in roles.items() if role == "place"}
                other = {**current_node(other), **places}
        put(changed, switch.key, other)
    return changed


def _node(tree: Mapping[str, Any], key: str) -> Any:
    node: Any = tree
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node


@dataclass(frozen=True)
class Side:
    """The other side of an explanation: a run or an experiment.

    Attributes:
        name: the name of the run or the experiment.
        config: its resolved configuration.
        run: the run; None for an experiment.
        published: the experiment's published numbers, in words.
    """

    name: str
    config: Mapping[str, Any]
    run: Run | None = None
    published: list[str] = field(default_factory=list)
