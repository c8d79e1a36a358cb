"""Runs in trackers of experiments, each with its real package, on this machine alone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import pytest

import llava_eval
from llava_eval import cli
from llava_eval.errors import ConfigError
from llava_eval.results.exchange.trackers import (
    MLflow,
    Trackio,
    Wandb,
    build_tracker,
    numbers_of,
    settings_of,
    track,
)
from llava_eval.results.runs import Run, RunReader
from tests.results.runs_on_disk import answered, write_run

MEAN = {"_target_": "llava_eval.metrics.means.mean_score"}

#: Other people's imports and databases say what is of no concern here.
pytestmark = pytest.mark.filterwarnings("ignore")


class Plain:
    """A tracker of a user's own, which needs no package."""

    def track(self, run: Run) -> None:
        """Take nothing."""


class Needy(Plain):
    """One whose package is not installed."""

    package = "no_such_package"


class Ready(Plain):
    """One whose package is installed."""

    package = "json"


@pytest.mark.parametrize("kind", [Plain, Ready])
def test_a_tracker_is_built_where_its_package_is_installed(kind: type[Plain]) -> None:
    assert isinstance(build_tracker({"_target_": f"{__name__}.{kind.__name__}"}), kind)
    assert build_tracker(None) is None


def test_a_tracker_without_its_package_says_what_to_install() -> None:
    with pytest.raises(ConfigError, match=r"pip install 'llava-eval\[no_such_package\]'"):
        build_tracker({"_target_": f"{__name__}.Needy"})


class Taker(Ready):
    """A tracker that keeps what it is given, or refuses it."""

    def __init__(self, refusal: str = "") -> None:
        self.taken: list[Run] = []
        self._refusal = refusal

    def track(self, run: Run) -> None:
        """Take a run."""
        self.taken.append(run)
        if self._refusal:
            raise ConnectionError(self._refusal)


@pytest.mark.parametrize("refusal", ["", "no route to the server"])
def test_a_tracker_is_given_the_run_and_what_it_refuses_is_a_warning(
    tmp_path: Path, refusal: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_run(tmp_path / "run", [answered(0, True), answered(1, False)])
    taker = Taker(refusal)
    with caplog.at_level("INFO"):
        track(taker, path)
        track(None, path)
    (taken,) = taker.taken
    assert (taken.path, len(taken.results)) == (path, 2)
    (record,) = caplog.records
    told = f"taker did not take the run, which is whole in {path}: ConnectionError: {refusal}"
    assert record.levelname == ("WARNING" if refusal else "INFO")
    assert record.getMessage() == (told if refusal else "taker has the run")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a finished run."""
    made = tmp_path_factory.mktemp("tracked")
    few = ("benchmark.limit=6", "sampler.num_frames=4")
    llava_eval.evaluate(*few, f"output_dir={made / 'run'}")
    return made


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(folder)
    return llava_eval.load_run("run")


def expected(run: Run) -> Mapping[str, float]:
    metrics = json.loads((run.path / "metrics.json").read_text())
    accuracy, short = metrics["metrics"]["accuracy"], metrics["groups"]["duration"]["short"]
    name = "demo/multiple_choice"
    return {
        f"{name}/accuracy": accuracy["value"],
        f"{name}/accuracy_ci_low": accuracy["ci_low"],
        f"{name}/accuracy_ci_high": accuracy["ci_high"],
        f"{name}/accuracy_num_samples": 6,
        f"{name}/duration/short/accuracy": short["accuracy"]["value"],
        f"{name}/num_samples": 6,
        f"{name}/num_errors": 0,
    }


@pytest.mark.slow
def test_names_settings_and_no_secrets(run: Run) -> None:
    assert expected(run).items() <= numbers_of(run).items()
    settings = settings_of(run)
    assert settings["sampler.num_frames"] == 4
    assert settings["run_directory"] == str(run.path.resolve())
    assert settings["model_label"] == "demo"


@pytest.mark.slow
def test_mlflow_keeps_a_run_in_a_database(run: Run) -> None:
    pytest.importorskip("sqlalchemy", reason="mlflow with a database is not installed")
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    MLflow("videos", "sqlite:///runs.db").track(run)
    client = mlflow.MlflowClient("sqlite:///runs.db")
    (kept,) = client.search_runs([client.get_experiment_by_name("videos").experiment_id])
    assert expected(run).items() <= kept.data.metrics.items()
    assert kept.data.params["sampler.num_frames"] == "4"
    assert kept.data.tags["run_directory"] == str(run.path.resolve())
    assert kept.info.status == "FINISHED"


@pytest.mark.slow
def test_mlflow_takes_settings_by_names_that_it_allows(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy", reason="mlflow with a database is not installed")
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    path = write_run(tmp_path / "run", [answered(0, True)], metrics={"rec@IoU": MEAN})
    database = f"sqlite:///{tmp_path}/own.db"
    MLflow("videos", database).track(RunReader().read(path))
    client = mlflow.MlflowClient(database)
    (kept,) = client.search_runs([client.get_experiment_by_name("videos").experiment_id])
    assert kept.data.params["benchmark.metrics.rec_IoU._target_"] == MEAN["_target_"]
    assert kept.data.metrics["made/up/rec_IoU"] == 100.0


@pytest.mark.slow
def test_mlflow_says_that_it_waits_for_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    path = write_run(tmp_path / "run", [answered(0, True)])
    with caplog.at_level("INFO", logger="llava_eval"):
        track(MLflow("videos", "http://127.0.0.1:9"), path)
    waiting, refused = (item.message for item in caplog.records if "llava_eval" in item.name)
    assert waiting.startswith("giving the run to http://127.0.0.1:9; MLflow asks a server that is")
    assert refused.startswith(f"mlflow did not take the run, which is whole in {path}: ")


@pytest.mark.slow
def test_wandb_keeps_a_run_for_its_sync(run: Run) -> None:
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    Wandb("videos").track(run)
    wandb.teardown()  # its own process has written all
    (folder,) = Path("wandb").glob("offline-run-*")
    (log,) = folder.glob("*.wandb")
    content = log.read_bytes()
    for text in (b"demo/multiple_choice/accuracy_ci_low", b"sampler.num_frames", b"run_directory"):
        assert text in content


@pytest.mark.slow
def test_trackio_keeps_a_run(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio", reason="trackio is not installed")
    Trackio("videos").track(run)
    (database,) = (tmp_path / "trackio").rglob("*videos*.db")
    with sqlite3.connect(database) as connection:
        (numbers,) = connection.execute("select metrics from metrics").fetchall()
    assert expected(run).items() <= json.loads(numbers[0]).items()


class Refuses:
    """A tracker of a user's own whose server is away."""

    package = "json"

    def track(self, run: Run) -> None:
        raise ConnectionError("no server")


class NeedsMore(Refuses):
    package = "no_such_package"


@pytest.mark.slow
def test_a_run_outlives_its_tracker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("mine", "tracker")
    folder.mkdir(parents=True)
    for name in ("Refuses", "NeedsMore"):
        (folder / f"{name}.yaml").write_text(f"_target_: {__name__}.{name}\n")
    few = ["--config-dir", "mine", "benchmark.limit=3", "output_dir=other"]
    assert cli.run_command([*few, "tracker=Refuses"]) == 0
    message = "refuses did not take the run, which is whole in other: ConnectionError: no server"
    assert message in capsys.readouterr().err
    few[-1] = "output_dir=third"
    assert cli.run_command([*few, "tracker=NeedsMore"]) == 2
    assert "pip install 'llava-eval[no_such_package]'" in capsys.readouterr().err
    assert not Path("third").exists()


def test_levels_that_differ_in_a_mark_alone_have_numbers_of_their_own(tmp_path: Path) -> None:
    results = [
        answered(n, n < 6, facets={"duration": "<1 min" if n < 6 else ">1 min"}) for n in range(12)
    ]
    numbers = numbers_of(RunReader().read(write_run(tmp_path / "run", results)))
    assert numbers["made/up/duration/_u003c_1 min/accuracy"] == 100
    assert numbers["made/up/duration/_u003e_1 min/accuracy"] == 0
    assert numbers["made/up/accuracy"] == 50
