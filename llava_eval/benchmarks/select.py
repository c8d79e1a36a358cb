"""Parts of a benchmark: levels of a facet, and a seeded stratified subsample."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from llava_eval.config.schema import SubsampleConfig
from llava_eval.errors import ConfigError, RowsError
from llava_eval.types import Sample


def selected(
    samples: Sequence[Sample],
    where: Mapping[str, Any],
    subsample: SubsampleConfig,
    *,
    limit: int | None = None,
) -> list[Sample]:
    """Return the chosen samples in the order of the rows.

    Args:
        samples: of all rows.
        where: by facet, the level or the list of levels to keep.
        subsample: how many to draw of these, and how.
        limit: rows to keep of what is at the selected levels, before a subsample is drawn.

    Raises:
        ConfigError: a facet that the benchmark does not have, or a subsample larger than what it is
            drawn from.
        RowsError: a level that no sample has.
    """
    kept = list(samples)
    for facet, levels in where.items():
        kept = _at_levels(kept, facet, levels)
    first_rows = set(list(dict.fromkeys(sample.row for sample in kept))[:limit])
    kept = [sample for sample in kept if sample.row in first_rows]
    if subsample.size is None:
        return kept
    if subsample.size > len(kept):
        raise ConfigError(
            f"benchmark.subsample.size: got {subsample.size}, but there are only {len(kept)} "
            "samples"
        )
    chosen = set(_drawn(kept, subsample))
    return [sample for sample in kept if sample.id in chosen]


def _at_levels(samples: list[Sample], facet: str, levels: Any) -> list[Sample]:
    wanted = [str(level) for level in (levels if isinstance(levels, list | tuple) else [levels])]
    present = {_level(sample, facet) for sample in samples}
    for level in wanted:
        if level not in present:
            raise RowsError(
                f"benchmark.where.{facet}: no sample has {level!r}; "
                f"levels: {', '.join(sorted(present))}"
            )
    return [sample for sample in samples if _level(sample, facet) in wanted]


def _level(sample: Sample, facet: str) -> str:
    if facet not in sample.facets:
        raise ConfigError(
            f"the benchmark has no facet {facet!r}; facets: {', '.join(sample.facets) or 'none'}"
        )
    return sample.facets[facet]


def _drawn(samples: Sequence[Sample], subsample: SubsampleConfig) -> list[str]:
    """Draw from every stratum its share, rounded by largest remainders."""
    strata: dict[tuple[str, ...], list[Sample]] = defaultdict(list)
    for sample in samples:
        strata[tuple(_level(sample, facet) for facet in subsample.by)].append(sample)
    size = subsample.size or 0
    exact = {name: Fraction(size * len(all_), len(samples)) for name, all_ in strata.items()}
    shares = {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(strata, key=lambda name: (shares[name] - exact[name], name))
    for name in by_remainder[: size - sum(shares.values())]:
        shares[name] += 1
    return [
        sample.id
        for name, members in strata.items()
        for sample in sorted(members, key=lambda member: _ticket(member, subsample.seed))[
            : shares[name]
        ]
    ]


def _ticket(sample: Sample, seed: int) -> str:
    """Return a sample's rank in the draw.

    It depends on the seed and the sample's id alone, so that it is the same on every machine, and
    rows that are added or removed do not move the others.
    """
    return hashlib.sha256(f"{seed}:{sample.id}".encode()).hexdigest()
