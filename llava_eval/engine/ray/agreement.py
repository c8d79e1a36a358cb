"""Whether the workers of a run would all generate the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llava_eval.engine.ray.remote import Facts
from llava_eval.errors import ConfigError
from llava_eval.results import manifest
from llava_eval.results.identity import first_difference


def check_agreement(workers: Sequence[Facts], *, allow_version_differences: bool) -> None:
    """Hold workers to each other, and their versions to this machine's.

    What is installed on one side only is compared between workers, not with this machine, which
    generates nothing.

    Raises:
        ConfigError: two would not run the same model, or versions differ.
    """
    first = workers[0]
    for other in workers[1:]:
        if other.identity != first.identity:
            difference = first_difference(
                first.identity,
                other.identity,
                "{key} is {ours} for the first and {theirs} for the other",
            )
            raise ConfigError(
                f"node {other.host} would not run the same model as the first worker, on "
                f"{first.host}: {difference}"
            )
    if allow_version_differences:
        return
    here = manifest.versions()
    for worker in workers:
        shared = {name: text for name, text in here.items() if name in worker.versions}
        _hold("this machine", shared, worker.host, worker.versions)
        everywhere = {**dict.fromkeys(worker.versions), **first.versions}
        _hold(first.host, everywhere, worker.host, worker.versions)


def _hold(here: str, ours: Mapping[str, str | None], there: str, theirs: Mapping[str, str]) -> None:
    for name, version in ours.items():
        if theirs.get(name) != version:
            raise ConfigError(
                f"node {there} has {name} {theirs.get(name) or '(none)'}, but {here} has "
                f"{version or 'none'}; engine.allow_version_differences=true goes on all the same"
            )


def joint_versions(workers: Sequence[Facts]) -> dict[str, str]:
    """Return every package's version, several where workers differ."""
    names = dict.fromkeys(name for worker in workers for name in worker.versions)
    return {
        name: " and ".join(sorted({worker.versions.get(name, "none") for worker in workers}))
        for name in names
    }
