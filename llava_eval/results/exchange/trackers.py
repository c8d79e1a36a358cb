"""A finished run in an experiment tracker: its numbers, settings and directory.

Nothing is uploaded unless the tracker is configured to: by default trackio and MLflow write to this
machine, and wandb to a folder that ``wandb sync`` uploads.
"""

from __future__ import annotations

import importlib.util
import logging
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from llava_eval.config.build import build_target
from llava_eval.config.roles import flat
from llava_eval.errors import ConfigError, LlavaEvalError, first_line, without_secrets
from llava_eval.results.runs import Run, RunReader
from llava_eval.results.tables import all_values

log = logging.getLogger(__name__)

_Value = TypeVar("_Value")

#: Not allowed in a number's name by every tracker: other characters; the parts "", "." and "..".
_NOT_IN_NAMES = re.compile(r"[^\w ./-]+|(?<![^/])\.{0,2}(?![^/])")


class Tracker(Protocol):
    """An experiment tracker that records finished runs.

    Attributes:
        package: the package that it needs, also the name of its extra.
    """

    package: str

    def track(self, run: Run) -> None:
        """Record the numbers and settings of a run."""
        ...


def build_tracker(node: Mapping[str, Any] | None) -> Tracker | None:
    """Return the tracker that a configuration names; None without one.

    Args:
        node: ``_target_`` and its parameters.

    Raises:
        ConfigError: it is not a tracker, or its package is not installed.
    """
    if node is None:
        return None
    tracker: Tracker = build_target(node, key="tracker")
    package = getattr(tracker, "package", None)
    if package is not None and importlib.util.find_spec(package) is None:
        raise ConfigError(f"tracker needs a package: pip install 'llava-eval[{package}]'")
    return tracker


def track(tracker: Tracker | None, directory: Path) -> None:
    """Record a finished run in a tracker; errors there are warnings, as the run is complete.

    Args:
        tracker: the tracker; None records nothing.
        directory: the run directory.
    """
    if tracker is None:
        return
    name = type(tracker).__name__.lower()
    try:
        tracker.track(RunReader().read(directory))
    except Exception as error:  # noqa: BLE001 - other people's code, network and servers
        is_ours = isinstance(error, LlavaEvalError)
        reason = str(error) if is_ours else f"{type(error).__name__}: {first_line(error)}"
        log.warning("%s did not take the run, which is whole in %s: %s", name, directory, reason)
    else:
        log.info("%s has the run", name)


def numbers_of(run: Run) -> dict[str, float]:
    """Return all numbers of a run by name, with intervals and counts.

    ``videomme/official/accuracy``, ``.../accuracy_ci_low``, ``.../duration/short/accuracy``.
    """
    numbers: dict[str, float] = {}
    for facet, level, metric, value in all_values(run.tables):
        name = "/".join([run.benchmark, *([facet, level] if facet else []), metric])
        for field, part in asdict(value).items():
            if isinstance(part, int | float):
                numbers[name if field == "value" else f"{name}_{field}"] = part
    numbers[f"{run.benchmark}/num_samples"] = len(run.results)
    numbers[f"{run.benchmark}/num_unreadable"] = run.num_unreadable
    numbers[f"{run.benchmark}/num_errors"] = run.num_errors
    return _with_plain_names(numbers)


def _with_plain_names(named: Mapping[str, _Value]) -> dict[str, _Value]:
    plain = {name: _NOT_IN_NAMES.sub("_", name) for name in named}
    times = Counter(plain.values())
    # "<1 min" and ">1 min" are two levels: code points replace characters if names would be equal
    return {
        (plain[name] if times[plain[name]] == 1 else _NOT_IN_NAMES.sub(_codes, name)): value
        for name, value in named.items()
    }


def _codes(marks: re.Match[str]) -> str:
    return "".join(f"_u{ord(character):04x}_" for character in marks[0]) or "_empty_"


def settings_of(run: Run) -> dict[str, Any]:
    """Return a run's settings by dotted key, its labels and directory; without secrets."""
    settings = {
        "run_directory": str(run.path.resolve()),
        "benchmark_label": run.label,
        "model_label": run.model,
        "fingerprint": run.manifest.fingerprint,
        "llava_eval": run.manifest.versions.get("llava_eval"),
        **flat(run.config),
    }
    return {
        key: without_secrets(value) if isinstance(value, str) else value
        for key, value in settings.items()
        if value is not None
    }


@dataclass(frozen=True)
class Trackio:
    """Hugging Face's trackio: a local database, shown by ``trackio show``.

    Args:
        project: name of the project for the run.
    """

    project: str = "llava_eval"
    package = "trackio"

    def track(self, run: Run) -> None:
        """See :class:`Tracker`."""
        import trackio

        trackio.init(project=self.project, name=f"{run.label} {run.model}", config=settings_of(run))
        trackio.log(numbers_of(run))
        trackio.finish()


@dataclass(frozen=True)
class Wandb:
    """Weights & Biases.

    Args:
        project: name of the project for the run.
        mode: offline keeps the run in ``wandb/`` for ``wandb sync``; online uploads it.
    """

    project: str = "llava_eval"
    mode: Literal["offline", "online"] = "offline"
    package = "wandb"

    def track(self, run: Run) -> None:
        """See :class:`Tracker`."""
        import wandb

        quiet = wandb.Settings(console="off", silent=True)
        with wandb.init(
            project=self.project,
            name=f"{run.label} {run.model}",
            config=settings_of(run),
            mode=self.mode,
            settings=quiet,
        ) as tracked:
            tracked.log(numbers_of(run))


@dataclass(frozen=True)
class MLflow:
    """MLflow.

    Args:
        experiment: name of the experiment for the run.
        tracking_uri: a database (``sqlite:///mlflow.db``) or a server; null leaves the choice to
            MLflow (``MLFLOW_TRACKING_URI``).
    """

    experiment: str = "llava_eval"
    tracking_uri: str | None = None
    package = "mlflow"

    def track(self, run: Run) -> None:
        """See :class:`Tracker`."""
        import mlflow

        if self.tracking_uri is not None:
            mlflow.set_tracking_uri(self.tracking_uri)
        if (address := mlflow.get_tracking_uri()).startswith("http"):
            log.info(
                "giving the run to %s; MLflow asks a server that is away for some minutes "
                "(MLFLOW_HTTP_REQUEST_MAX_RETRIES)",
                address,
            )
        mlflow.set_experiment(self.experiment)
        with mlflow.start_run(run_name=f"{run.label} {run.model}"):
            settings = _with_plain_names(settings_of(run))
            mlflow.log_params({key: str(value) for key, value in settings.items()})
            mlflow.log_metrics(numbers_of(run))
            mlflow.set_tag("run_directory", str(run.path.resolve()))
