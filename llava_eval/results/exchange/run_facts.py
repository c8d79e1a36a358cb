"""Facts about a run for other tools' files, under the names that most of them use."""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llava_eval.benchmarks.sources import HUB_SCHEME
from llava_eval.config.roles import flat, is_of_scored_texts
from llava_eval.errors import RunDirectoryError
from llava_eval.results.files import MANIFEST, file_name
from llava_eval.results.runs import Run


@dataclass(frozen=True)
class RunFacts:
    """Facts about a run in the terms of other tools.

    Attributes:
        run: the run.
        model: the checkpoint's hub id if it has one, or else the model's name.
        scorer: name of the scorer.
        source: the benchmark's source of rows.
        generation: temperature, top_p, max_tokens and seed.
        fingerprint: digest of the run's identity.
        started, ended: times in ISO format, UTC.
        command: the command line; None if it is not known.
    """

    run: Run
    model: str
    scorer: str
    source: str
    generation: Mapping[str, Any]
    fingerprint: str
    started: str
    ended: str
    command: str | None

    def __post_init__(self) -> None:
        for moment in (self.started, self.ended):
            try:
                datetime.datetime.fromisoformat(moment)
            except ValueError as error:
                raise RunDirectoryError(f"{self.run.path / MANIFEST}: {error}") from None

    @classmethod
    def of(cls, run: Run) -> RunFacts:
        """Collect the facts from a run directory.

        Args:
            run: the run.

        Raises:
            RunDirectoryError: a time in its manifest is not in ISO format.
        """
        manifest, parts = run.manifest, flat(run.config)
        sessions = manifest.content.get("sessions") or [{}]
        first, last = sessions[0], sessions[-1]
        command = first.get("command")
        checkpoint = str(parts.get("model.checkpoint") or run.model)
        record = manifest.content.get("model") or {}
        is_folder = "commit" in record and record["commit"] is None  # "out/checkpoint" is no hub id
        is_hub_id = not is_folder and re.fullmatch(r"[\w.-]+/[\w.-]+", checkpoint) is not None
        target = str(run.parts.scorer.get("_target_", "scorer"))
        names = {"temperature": "temperature", "top_p": "top_p", "max_tokens": "max_new_tokens"}
        asked = _asked(run)
        started = str(first.get("started") or "1970-01-01T00:00:00+00:00")
        return cls(
            run=run,
            model=checkpoint if is_hub_id else str(parts.get("model.name") or run.model),
            scorer=target.rpartition(".")[2],
            source=str(parts.get("benchmark.source") or ""),
            generation={
                key: value
                for key, name in names.items()
                if (value := asked.get(f"benchmark.generation.{name}")) is not None
            },
            fingerprint=manifest.fingerprint or "0" * 64,
            started=started,
            ended=str(last.get("ended") or started),
            command=" ".join(map(str, command)) if isinstance(command, list) else None,
        )

    @property
    def dataset(self) -> str | None:
        """The hub's data set that the rows came from; None for other sources."""
        is_hub = self.source.startswith(HUB_SCHEME)
        return self.source.removeprefix(HUB_SCHEME) if is_hub else None

    @property
    def is_local(self) -> bool:
        """Whether the run loaded the model with transformers; a server's software is not known."""
        model = self.run.manifest.model
        return model is not None and model.weights_sha256 is not None

    @property
    def file_name(self) -> str:
        """The benchmark's name as a part of a file name."""
        return file_name(self.run.benchmark)


def _asked(run: Run) -> Mapping[str, Any]:
    """Return the generation's settings by dotted key; for scored texts those of their source."""
    if not is_of_scored_texts(run.config):
        return flat(run.config)
    texts = run.manifest.content.get("generations")
    asked = texts.get("asked") if isinstance(texts, Mapping) else None
    return asked if isinstance(asked, Mapping) else {}


def sha256_of(text: str) -> str:
    """Return the SHA-256 of a text in hexadecimal; a lone surrogate counts as its escape."""
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()


def as_share(value: float | None, unit: str) -> float | None:
    """Return percent as a share from 0 to 1, which these tools expect; other units unchanged."""
    return value / 100 if value is not None and unit == "percent" else value
