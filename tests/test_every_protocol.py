"""Every protocol: its parts, and over one made-up row what prepare says, and a dry run."""

from __future__ import annotations

import dataclasses
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from llava_eval.benchmarks.prepare.prepare import prepare, readiness_text
from llava_eval.commands.dry_run import dry_run
from llava_eval.config.choices import list_choices
from llava_eval.config.compose import ComposedConfig, compose_config
from llava_eval.engine.configured_benchmark import Parts
from tests.benchmarks import test_image_prompts as images
from tests.benchmarks import test_prompts as videos
from tests.scoring.test_wups import has_packages
from tests.test_made_up_rows import NAMES, TABLES, table_lines
from tests.test_score_protocols import ledger, scored

_VIDEOMME = {**videos.VIDEOMME, "duration": "short", "domain": "Knowledge", "task_type": "OCR"}
_TEXT_QA = {"video_name": "v_1", "question": "what is it", "question_id": "1", "answer": "a dog"}
_CGBENCH = Path(__file__).parent / "benchmarks" / "golden" / "cgbench_prompts.json.gz"

#: By family, or by protocol where a family's protocols read different files.
ROWS: dict[str, dict[str, Any]] = {
    "activitynet_qa": {**_TEXT_QA, "type": "3"},
    "ai2d": images.AI2D,
    "cgbench": json.loads(gzip.decompress(_CGBENCH.read_bytes()))["official"][0]["row"],
    "chartqa": images.CHARTQA,
    "coco2014": images.COCO,
    "coco2017": images.COCO,
    "coco_karpathy": images.KARPATHY,
    "docvqa": images.DOCVQA,
    "egoschema": videos.EGOSCHEMA,
    "flickr30k": images.FLICKR,
    "gqa": images.GQA,
    "infographicvqa": images.DOCVQA,
    "longvideobench": {**videos.LONGVIDEOBENCH, "duration": 2.0},
    "mlvu/lmms_eval": videos.MLVU_DEV,
    "mlvu/official": videos.MLVU_OFFICIAL,
    "mmbench": images.MMBENCH,
    "mme": images.MME,
    "mmmu": images.MMMU,
    "msrvtt_caption": {"video_id": "video7010", "caption": ["A man.", "He."]},
    "msrvtt_qa": _TEXT_QA,
    "msvd_qa": _TEXT_QA,
    "mvbench": videos.MVBENCH,
    "nextqa_mc": videos.NEXTQA_MC,
    "nextqa_oe": videos.NEXTQA_OE,
    "nocaps": images.NOCAPS,
    "okvqa": images.OKVQA,
    "perceptiontest": videos.PERCEPTIONTEST,
    "pope": images.POPE,
    "scienceqa_img": images.SCIENCEQA,
    "tempcompass": {**videos.TEMPCOMPASS, "row_set": "multi-choice"},
    "textvqa": images.TEXTVQA,
    "tgif_qa": _TEXT_QA,
    "tvbench/official": videos.TVBENCH,
    "vatex": {"videoID": "Ptf_2VRj-V0_000122_000132", "enCap": ["A man.", "He."]},
    "video_chatgpt": {**_TEXT_QA, "question_1": "a?", "question_2": "b?", "row_set": "generic"},
    "video_detail_description": _TEXT_QA,
    "videomme": {**_VIDEOMME, "video_id": "001", "sub_category": "Humanity & History"},
    "vizwiz": images.VIZWIZ,
    "vqav2": images.VQA,
}
ROWS.update({name: table_lines(path)[0]["row"] for name, path in zip(NAMES, TABLES, strict=True)})
#: Its images are fetched from addresses that the rows name.
FETCHED = "coco_karpathy/lmms_eval"
VIDEO_SUFFIXES = (".mp4", ".avi", ".gif", ".mkv", ".webm")


#: Protocols whose data set has a split without answers, and what its rows hold in place of them: a
#: mark, or nothing (...: there is no such column).
HIDDEN: dict[str, dict[str, Any]] = {
    "blink/lmms_eval": {"answer": "hidden"},
    "blink/lmms_eval_v0_7_3": {"answer": "hidden"},
    "docvqa/lmms_eval": {"answers": ...},
    "egoschema/lmms_eval": {"answer": ...},
    "gqa/lmms_eval": {"answer": ...},
    "infographicvqa/lmms_eval": {"answers": None},
    "longvideobench/lmms_eval": {"correct_choice": ...},
    "mathvista/lmms_eval": {"answer": ""},
    "mmbench/lmms_eval": {"answer": None},
    "mmmu/lmms_eval_v0_7_3": {"answer": "?"},
    "mmvu/lmms_eval": {"answer": ...},
    "nocaps/lmms_eval": {"annotations_captions": []},
    "perceptiontest/lmms_eval": {"answer_id": "-1"},
    "textvqa/lmms_eval": {"answers": [""] * 10},
    "vatex/lmms_eval": {"enCap": ...},
    "vizwiz/lmms_eval": {"answers": None},
    "vqav2/lmms_eval": {"answers": ...},
}


def row_of(protocol: str) -> dict[str, Any]:
    family = protocol.partition("/")[0]
    others = [name for name in ROWS if name.startswith(f"{family}/")]
    return ROWS.get(protocol) or ROWS.get(family) or ROWS[others[0]]


def checked(name: str) -> ComposedConfig:
    """Return a protocol by itself, whose parts fit."""
    composed = compose_config([f"benchmark={name}"])
    assert composed.choices["benchmark"] == name
    config = composed.config
    if "wups" in str(config.scorer["_target_"]) and not has_packages():
        pytest.skip("needs the extra wups")
    parts = Parts.build(config)
    assert set(parts.metrics) == set(config.benchmark.metrics)
    assert (parts.submission is None) == (not config.benchmark.submission)
    return composed


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in list_choices("benchmark") if n[:5] == "demo/"])
def test_parts_of_the_embedded_benchmarks_fit(name: str) -> None:
    assert checked(name).config.benchmark.name == name


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in list_choices("benchmark") if n[:5] != "demo/"])
def test_parts_fit_media_are_looked_for_and_the_first_prompt_is_made(
    tmp_path: Path, name: str, demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    plain = checked(name)
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps(row_of(name)) + "\n")
    (tmp_path / "subtitles").mkdir()
    (tmp_path / "subtitles" / "86CxyhFV9MI_en.json").write_text("[]")  # LongVideoBench has one each
    # Composing takes most of the time, so what differs is put in afterwards.
    benchmark = dataclasses.replace(
        plain.config.benchmark, source=str(rows), media_root=str(tmp_path), system=None
    )
    sampler = {**plain.config.sampler, "num_frames": 2}
    config = dataclasses.replace(plain.config, benchmark=benchmark, sampler=sampler)
    composed = dataclasses.replace(plain, config=config)
    ready = prepare(composed)
    if name == FETCHED:
        assert not ready.missing
        return
    assert ready.missing
    if name in NAMES:
        assert (ready.num_samples, ready.num_media, len(ready.missing)) == (1, 1, 1)
    assert readiness_text(ready).endswith("\nINCOMPLETE")
    paths = [Path(path) for path in ready.missing]
    for path in paths:
        assert path.is_relative_to(tmp_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no video")
    num_videos = sum(path.suffix in VIDEO_SUFFIXES for path in paths)
    assert len(prepare(composed).damaged) == num_videos  # images are opened when they are shown
    shown = next(iter((demo / "videos").glob("*.mp4")))
    for path in paths:
        if path.suffix in VIDEO_SUFFIXES:
            shutil.copyfile(shown, path)
        else:
            Image.new("RGB", (40, 30), "red").save(path, "PNG")
    ready = prepare(composed)
    assert not ready.missing
    assert not ready.damaged
    looked_at = dry_run(composed)
    assert "first sample: " in looked_at
    assert ("\n  frames " in looked_at) == (num_videos > 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", HIDDEN)
def test_a_reply_to_a_hidden_answer_is_kept_and_counted(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    known = row_of(name)
    assert HIDDEN[name].keys() <= known.keys()
    row = {key: value for key, value in {**known, **HIDDEN[name]}.items() if value is not ...}
    outcome = scored(tmp_path, name, [row], {"row": 0, "text": "B"})
    assert outcome.exit_code == 0
    (line,) = ledger(tmp_path)
    assert (line["target"], line["score"]["value"]) == ([], None)
    assert line["score"]["answer"].upper() == "B"
    assert (
        "0 scored, 0 unreadable, 0 failed, 1 with a hidden answer"
        in (tmp_path / "out" / "metrics.md").read_text()
    )
