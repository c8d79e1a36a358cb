"""The main job in one process: files by contract, resuming, failures, and scoring apart."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import yaml

from llava_eval import run as pipeline
from llava_eval.config.compose import compose_config
from llava_eval.errors import RowsError, RunDirectoryError
from tests.conftest import DEMO, read_lines, write_lines

FILES = {
    "config.yaml",
    "manifest.json",
    "samples.jsonl",
    "metrics.json",
    "metrics.csv",
    "metrics.md",
}

#: Rows of the embedded benchmark that are run: all questions about two videos.
NUM_ROWS = 6

Run = Callable[..., pipeline.Outcome]


def run_rows(*overrides: str, limit: int | None = NUM_ROWS) -> pipeline.Outcome:
    limits = [] if limit is None else [f"benchmark.limit={limit}"]
    return pipeline.run(compose_config(["sampler.num_frames=4", *limits, *overrides]))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the embedded benchmark's first rows below ``tmp_path``."""
    monkeypatch.chdir(tmp_path)
    return run_rows


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("finished"))
        return run_rows("output_dir=one").directory.resolve()


@pytest.fixture
def one(finished_run: Path, tmp_path: Path) -> Path:
    """Folder "one" with a finished run, to be changed and continued."""
    return Path(shutil.copytree(finished_run, tmp_path / "one"))


def manifest_of(directory: Path) -> dict[str, Any]:
    content = json.loads((directory / "manifest.json").read_text())
    assert isinstance(content, dict)
    return content


@pytest.mark.slow
def test_a_run_leaves_the_files_of_the_contract(run: Run) -> None:
    outcome = run()
    assert outcome.exit_code == 0
    assert {path.name for path in outcome.directory.iterdir()} == FILES
    assert outcome.directory.parent == Path("results/runs/demo/multiple_choice/demo")
    metrics = json.loads((outcome.directory / "metrics.json").read_text())
    assert metrics["benchmark"] == f"demo/multiple_choice (limit={NUM_ROWS}, num_frames=4)"
    assert metrics["model"] == "demo"
    assert (metrics["num_samples"], metrics["num_errors"]) == (NUM_ROWS, 0)
    lines = read_lines(outcome.directory / "samples.jsonl")
    rows = read_lines(DEMO / "multiple_choice.jsonl")[:NUM_ROWS]
    assert [line["id"] for line in lines] == [row["question_id"] for row in rows]
    assert [line["row"] for line in lines] == list(range(NUM_ROWS))
    assert [line["target"] for line in lines] == [[row["answer"]] for row in rows]
    right = [
        line["score"]["answer"] == row["answer"] for line, row in zip(lines, rows, strict=True)
    ]
    assert metrics["metrics"]["accuracy"]["value"] == pytest.approx(100 * sum(right) / NUM_ROWS)
    for line in lines:
        with av.open(str(DEMO / "videos" / f"{line['group']}.mp4")) as container:
            last = sum(1 for _ in container.decode(video=0)) - 1
        assert line["frame_indices"] == np.linspace(0, last, 4).astype(int).tolist()
        assert line["generation"]["error"] is None
        assert line["generation"]["stop_reason"] in ("eos", "length")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("benchmark.generation_settings=protocol", "are not in force; model.generation_settings="),
        ("benchmark.generation_settings=checkpoint", "are in force; model.generation_settings="),
    ],
)
def test_a_checkpoints_own_generation_settings_stand_beside_the_number(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture, override: str, said: str
) -> None:
    copied = Path(shutil.copytree(DEMO / "checkpoint", tmp_path / "checkpoint"))
    path = copied / "generation_config.json"
    path.chmod(0o644)
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({**stored, "repetition_penalty": 1.05, "temperature": 0.5}))
    with caplog.at_level("INFO"):
        directory = run(f"model.checkpoint={copied}", override).directory
    note = f"the checkpoint's own generation settings (repetition_penalty=1.05) {said}"
    assert sum(note in line for line in caplog.messages) == 1
    assert note in (directory / "metrics.md").read_text()
    (kept,) = json.loads((directory / "metrics.json").read_text())["notes"]
    assert kept.startswith(note)
    settings = {"repetition_penalty": 1.05} if "are in force" in said else {}
    assert manifest_of(directory)["model"]["kept_generation_settings"] == settings


@pytest.mark.slow
def test_the_manifest_tells_what_ran(one: Path) -> None:
    manifest = manifest_of(one)
    assert manifest["status"] == "finished"
    assert manifest["config"] == yaml.safe_load((one / "config.yaml").read_text())
    assert manifest["model"]["dtype"] == "float32"
    assert manifest["model"]["attention"] == "sdpa"
    assert len(manifest["model"]["weights_sha256"]) == 64
    assert manifest["model"]["chat_template"]
    assert manifest["first_prompt"].startswith("USER: <video>\nSelect the best answer")
    assert manifest["versions"]["transformers"]
    (session,) = manifest["sessions"]
    assert {"load_rows", "load_model", "decode_wait", "vision", "prefill", "decode"} <= set(
        session["stage_seconds"]
    )
    assert session["peak_host_memory_bytes"] > 1 << 20
    assert session["wall_seconds"] >= max(session["stage_seconds"].values())


def cut_ledger(directory: Path, keep: int, *, torn: bool) -> None:
    """Leave a run as a killed process would: some lines, perhaps half of one more."""
    path = directory / "samples.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    half = lines[keep][: len(lines[keep]) // 2] if torn else b""
    path.write_bytes(b"".join(lines[:keep]) + half)
    manifest = manifest_of(directory)
    (directory / "manifest.json").write_text(json.dumps({**manifest, "status": "running"}))
    for name in ("metrics.json", "metrics.csv", "metrics.md"):
        (directory / name).unlink()


@pytest.mark.slow
@pytest.mark.parametrize(("keep", "torn"), [(0, False), (0, True), (2, True), (5, False)])
def test_a_killed_run_continues_to_the_same_ledger(
    run: Run, one: Path, keep: int, torn: bool
) -> None:
    expected = {name: (one / name).read_bytes() for name in FILES - {"manifest.json"}}
    cut_ledger(one, keep, torn=torn)
    again = run("output_dir=one").directory
    assert {name: (again / name).read_bytes() for name in expected} == expected
    assert len(manifest_of(again)["sessions"]) == 2


@pytest.mark.slow
def test_resume_finds_the_newest_unfinished_run(run: Run) -> None:
    first = run().directory
    cut_ledger(first, 3, torn=True)
    assert run("resume=true").directory == first
    assert run("resume=true").directory != first  # it is finished now


@pytest.mark.slow
def test_a_finished_run_is_not_generated_again(run: Run, one: Path) -> None:
    before = (one / "samples.jsonl").read_bytes()
    again = run("output_dir=one")
    assert (again.directory / "samples.jsonl").read_bytes() == before
    manifest = manifest_of(again.directory)
    assert "decode" not in manifest["sessions"][1]["stage_seconds"]
    assert manifest["model"]["dtype"] == "float32"


@pytest.mark.slow
def test_answers_of_several_models_are_noted_beside_the_numbers(run: Run, one: Path) -> None:
    manifest = manifest_of(one)
    manifest["model"]["answers_as"] = "m-05 and m-08"
    (one / "manifest.json").write_text(json.dumps(manifest))
    note = "answers are of m-05 and m-08, by one name of a server"
    assert note not in (one / "metrics.md").read_text()
    again = run("output_dir=one")
    assert note in (again.directory / "metrics.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("sampler.num_frames=8", r"sampler\.num_frames was 4 there and is 8 here"),
        ("model.dtype=bfloat16", r"model\.dtype was torch\.float32 there"),
        ("conversation=vicuna_v1", r"conversation\.name was chat_template"),
        ("quantization=bnb_int8", r"model\.quantization"),
        ("benchmark.generation.max_new_tokens=3", r"generation\.max_new_tokens was 16"),
        ("benchmark.limit=10", "num_samples was"),
        ("benchmark.system=Look", "system was unset there and is Look here"),
    ],
)
@pytest.mark.usefixtures("one")
def test_another_configuration_never_adopts_generations(run: Run, override: str, part: str) -> None:
    with pytest.raises(RunDirectoryError, match=part):
        run("output_dir=one", override)


@pytest.mark.slow
@pytest.mark.usefixtures("one")
def test_what_changes_no_generation_may_change(run: Run) -> None:
    again = run("output_dir=one", "runner.batch_size=5", "scorer=videomme_official")
    assert len(manifest_of(again.directory)["sessions"]) == 2
    assert "scorer=videomme_official" in again.summary.benchmark


@pytest.mark.slow
@pytest.mark.parametrize(
    "override", ["runner.batch_size=1", "runner.batch_size=4", "runner.share_prefixes=false"]
)
def test_batch_size_and_sharing_change_no_byte_of_the_ledger(
    run: Run, one: Path, override: str
) -> None:
    outcome = run("output_dir=another", override)
    assert (outcome.directory / "samples.jsonl").read_bytes() == (
        one / "samples.jsonl"
    ).read_bytes()


@pytest.mark.slow
def test_questions_about_a_replaced_video_are_answered_anew(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    media = tmp_path / "media"
    media.mkdir()
    names = [f"demo_{number:03}.mp4" for number in range(1, 5)]
    for name in names:
        shutil.copy(DEMO / "videos" / name, media / name)
    rows = [
        row for row in read_lines(DEMO / "multiple_choice.jsonl")[:12] if row["video_id"] < "005"
    ]
    write_lines(tmp_path / "rows.jsonl", rows)
    overrides = ["benchmark.source=rows.jsonl", "benchmark.media_root=media", "output_dir=one"]
    run(*overrides, limit=None)
    before = {line["id"]: line for line in read_lines(tmp_path / "one" / "samples.jsonl")}
    replaced, copied, gone, _ = names
    status = (media / replaced).stat()
    shutil.copy(DEMO / "videos" / "demo_009.mp4", media / replaced)
    os.utime(media / replaced, ns=(status.st_atime_ns, status.st_mtime_ns))  # as "cp -p" leaves it
    shutil.copy(DEMO / "videos" / copied, media / copied)
    (media / gone).unlink()
    run(*overrides, limit=None)
    after = {line["id"]: line for line in read_lines(tmp_path / "one" / "samples.jsonl")}
    changed = {row["question_id"] for row in rows if f"{row['videoID']}.mp4" == replaced}
    assert {id for id in before if before[id]["inputs"] != after[id]["inputs"]} == changed
    assert manifest_of(tmp_path / "one")["sessions"][1]["num_generated"] == len(changed)
    assert f"{replaced}: replaced since the run read it; {len(changed)} finished" in caplog.text


# --- failures ------------------------------------------------------------------------------------


def write_audio(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        silence = np.zeros((1, 1024), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.sample_rate = 16000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


def write_no_frames(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=8)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        container.start_encoding()


BROKEN: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "empty": lambda path: path.touch(),
    "text": lambda path: path.write_text("this is no video\n" * 100),
    "truncated": lambda path: path.write_bytes(
        (DEMO / "videos" / "demo_002.mp4").read_bytes()[:400]
    ),
    "audio": write_audio,
    "no_frames": write_no_frames,
}


@pytest.fixture
def broken_benchmark(tmp_path: Path) -> tuple[list[str], dict[str, str]]:
    """Rows of a good video between rows of broken ones; overrides, and what is broken by id."""
    media = tmp_path / "media"
    media.mkdir()
    shutil.copy(DEMO / "videos" / "demo_001.mp4", media / "good.mp4")
    template = read_lines(DEMO / "multiple_choice.jsonl")[0]
    rows, broken = [], {}
    for number, (name, make) in enumerate(BROKEN.items()):
        make(media / f"{name}.mp4")
        rows.append({**template, "videoID": "good", "question_id": f"good-{number}"})
        rows.append({**template, "videoID": name, "question_id": f"bad-{number}"})
        broken[f"bad-{number}"] = name
    write_lines(tmp_path / "rows.jsonl", rows)
    return ["benchmark.source=rows.jsonl", "benchmark.media_root=media"], broken


@pytest.mark.slow
def test_failed_samples_are_errors_and_never_scores(
    run: Run, broken_benchmark: tuple[list[str], dict[str, str]]
) -> None:
    overrides, broken = broken_benchmark
    outcome = run(*overrides, limit=None)
    assert outcome.exit_code == 1
    metrics = json.loads((outcome.directory / "metrics.json").read_text())
    assert metrics["num_samples"] == 2 * len(broken)
    assert metrics["num_errors"] == len(broken)
    assert metrics["num_scored"] == len(broken)
    assert metrics["metrics"]["accuracy"]["num_samples"] == len(broken)
    for line in read_lines(outcome.directory / "samples.jsonl"):
        if line["id"] in broken:
            assert line["generation"]["text"] is None
            assert line["score"] == {
                "value": None,
                "answer": None,
                "unreadable": False,
                "explanation": "not scored: the sample failed",
            }
            assert f"{broken[line['id']]}.mp4" in line["generation"]["error"]
            assert "\n" not in line["generation"]["error"]
        else:
            assert line["generation"]["error"] is None
            assert line["score"]["value"] is not None


@pytest.mark.slow
def test_allowed_failures_end_with_exit_code_0(
    run: Run, broken_benchmark: tuple[list[str], dict[str, str]]
) -> None:
    overrides, broken = broken_benchmark
    for allowed, exit_code in ((len(broken), 0), (len(broken) - 1, 1)):
        limits = [f"errors.max={allowed}", "output_dir=one"]
        assert run(*overrides, *limits, limit=None).exit_code == exit_code


@pytest.mark.slow
def test_repaired_samples_are_asked_again(
    run: Run, broken_benchmark: tuple[list[str], dict[str, str]], tmp_path: Path
) -> None:
    overrides, broken = broken_benchmark
    run(*overrides, "output_dir=one", limit=None)
    shutil.copy(DEMO / "videos" / "demo_001.mp4", tmp_path / "media" / "missing.mp4")
    outcome = run(*overrides, "output_dir=one", limit=None)
    assert outcome.summary.num_errors == len(broken) - 1


@pytest.mark.slow
def test_duplicate_ids_and_missing_columns_end_before_any_work(run: Run, tmp_path: Path) -> None:
    template = read_lines(DEMO / "multiple_choice.jsonl")[0]
    write_lines(tmp_path / "twice.jsonl", [template, template])
    with pytest.raises(RowsError, match="occur more than once"):
        run("benchmark.source=twice.jsonl")
    del template["question"]
    write_lines(tmp_path / "lacking.jsonl", [template])
    with pytest.raises(RowsError, match="no column 'question'"):
        run("benchmark.source=lacking.jsonl")
    assert not (tmp_path / "results").exists()


# --- scoring apart -------------------------------------------------------------------------------


def score(generations: str, *overrides: str) -> pipeline.Outcome:
    return pipeline.score(compose_config(list(overrides)), Path(generations))


@pytest.mark.slow
def test_scoring_a_runs_texts_gives_the_runs_numbers(
    one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = json.loads((one / "metrics.json").read_text())
    lines = read_lines(one / "samples.jsonl")
    texts = [{"id": line["id"], "text": line["generation"]["text"]} for line in lines]
    write_lines(tmp_path / "texts.jsonl", texts)
    limit = f"benchmark.limit={NUM_ROWS}"
    scored = score("texts.jsonl", limit, "output_dir=scored")
    content = json.loads((scored.directory / "metrics.json").read_text())
    assert content["metrics"] == ran["metrics"]
    assert content["groups"] == ran["groups"]
    assert content["model"] is None
    assert {path.name for path in scored.directory.iterdir()} == FILES
    rescored = score(str(one / "samples.jsonl"), limit, "output_dir=rescored")
    assert rescored.summary.model == "demo"
    named = pipeline.score(compose_config([limit]), one / "samples.jsonl", "theirs")
    assert named.summary.model == "theirs"
    note = "the texts were generated with num_frames=4"
    assert note in (named.directory / "metrics.md").read_text()
    assert named.directory.parent == Path("results/runs/demo/multiple_choice/scored")
    assert (
        json.loads((rescored.directory / "metrics.json").read_text())["metrics"] == ran["metrics"]
    )


@pytest.mark.slow
def test_scoring_needs_no_media_and_counts_missing_texts(run: Run, tmp_path: Path) -> None:
    rows = read_lines(DEMO / "multiple_choice.jsonl")[:4]
    write_lines(tmp_path / "rows.jsonl", rows)
    texts = [{"row": 0, "text": rows[0]["answer"]}, {"row": 1, "text": "no idea"}]
    write_lines(tmp_path / "texts.jsonl", texts)
    outcome = score(
        "texts.jsonl",
        "benchmark.source=rows.jsonl",
        "benchmark.media_root=/nowhere",
        "output_dir=out",
    )
    summary = outcome.summary
    assert (summary.num_scored, summary.num_unreadable, summary.num_errors) == (2, 1, 2)
    assert summary.metrics["accuracy"].value == 50.0
    assert (outcome.exit_code, outcome.max_errors, outcome.of_given_texts) == (1, 0, True)
    allowed = score("texts.jsonl", "benchmark.source=rows.jsonl", "errors.max=2", "output_dir=out")
    assert (allowed.exit_code, allowed.directory) == (0, Path("out"))


@pytest.mark.slow
def test_the_official_rule_leaves_the_unread_out(run: Run, tmp_path: Path) -> None:
    rows = read_lines(DEMO / "multiple_choice.jsonl")[:4]
    write_lines(tmp_path / "rows.jsonl", rows)
    answers = [rows[0]["answer"], "unclear", "?", "none"]
    texts = [{"row": row, "text": text} for row, text in enumerate(answers)]
    write_lines(tmp_path / "texts.jsonl", texts)
    outcome = score(
        "texts.jsonl", "benchmark=videomme/official", "benchmark.source=rows.jsonl", "output_dir=o"
    )
    assert outcome.summary.metrics["accuracy"].value == 100.0
    assert outcome.summary.metrics["accuracy"].num_samples == 1
    assert outcome.summary.metrics["accuracy_all_rows"].value == 25.0
    assert outcome.summary.benchmark == "videomme/official (rows=4 of 2700)"


@pytest.mark.slow
def test_scores_are_not_written_over_a_run(one: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(one.parent)
    with pytest.raises(RunDirectoryError, match="belongs to another configuration"):
        score(str(one / "samples.jsonl"), f"benchmark.limit={NUM_ROWS}", "output_dir=one")
