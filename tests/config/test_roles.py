"""Roles of configuration keys, and the four questions that they answer."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from llava_eval.cli import run_command
from llava_eval.config import roles
from llava_eval.config.compose import compose_config
from llava_eval.config.schema import RunConfig


def test_every_key_of_the_schema_has_one_role() -> None:
    def leaves(value: Any, prefix: str) -> list[str]:
        return [
            key
            for entry in dataclasses.fields(value)
            for key in (
                leaves(getattr(value, entry.name), f"{prefix}{entry.name}.")
                if dataclasses.is_dataclass(getattr(value, entry.name))
                else [f"{prefix}{entry.name}"]
            )
        ]

    assert list(roles.declared_settings()) == leaves(RunConfig(), "")


@pytest.mark.parametrize(
    ("key", "role"),
    [
        ("benchmark.reply.strip", "protocol"),
        ("benchmark.adapter.prompt", "protocol"),
        ("benchmark.adapter.media", "place"),
        ("benchmark.where.duration", "protocol"),
        ("sampler.num_frames", "protocol"),
        ("judge.temperature", "protocol"),
        ("judge.base_url", "place"),
        ("judge.concurrency", "speed"),
        ("model.dtype", "model"),
        ("model.rope_scaling.factor", "model"),
        ("model.name", "label"),
        ("model.server.clip_dir", "place"),
        ("conversation", "model"),
        ("scorer", "protocol"),
        ("runner.batch_size", "speed"),
        ("a key of another version", "protocol"),
    ],
)
def test_role(key: str, role: str) -> None:
    assert roles.role_of(key) == role


@pytest.mark.slow
def test_identity_knows_what_changes_texts_and_not_how_they_are_scored() -> None:
    plain = dict(compose_config([]).resolved)
    other = dict(compose_config(["scorer=exact_match", "runner.batch_size=2"]).resolved)
    fewer = dict(compose_config(["sampler.num_frames=4"]).resolved)
    seeded = dict(compose_config(["seed=7"]).resolved)
    sampled = dict(compose_config(["seed=7", "benchmark.generation.temperature=0.5"]).resolved)
    assert roles.identity_of(plain) == roles.identity_of(other)
    assert roles.identity_of(plain) == roles.identity_of(seeded)
    assert roles.identity_of(fewer)["sampler.num_frames"] == 4
    assert roles.identity_of(sampled)["seed"] == 7


@pytest.mark.slow
def test_differences_are_told_by_the_names_of_parts() -> None:
    runs = [
        compose_config(overrides).resolved
        for overrides in (
            ["output_dir=a"],
            ["quantization=bnb_nf4", "judge.model=b", "sampler=integer_steps"],
        )
    ]
    assert roles.differences(runs) == {
        "quantization": ["none", "bnb_nf4"],
        "judge.model": [None, "b"],
        "sampler": ["linspace_to_last_frame", "integer_steps"],
    }


def test_scored_texts_differ_in_what_judged_them_alone() -> None:
    run = {"benchmark": {"where": None}, "sampler": {"num_frames": 4}, "seed": 0, "model": {"a": 1}}
    other = {**run, "sampler": {"num_frames": 8}}
    scored = {"benchmark": {"where": {"duration": "short"}}}
    assert roles.differences([run, scored]) == {"benchmark.where.duration": [None, "short"]}
    assert roles.differences([run, other, {"benchmark": run["benchmark"]}]) == {
        "sampler.num_frames": [4, 8, "unknown"]
    }
    assert roles.differences([scored, scored]) == {}
    asked = [{"benchmark": {"generation": {"max_new_tokens": number}}} for number in (16, 1024)]
    assert roles.differences(asked) == {}
    assert roles.differences([{**part, "model": {}} for part in asked]) == {
        "benchmark.generation.max_new_tokens": [16, 1024]
    }


@pytest.mark.slow
def test_a_protocol_of_an_earlier_baseline_is_compared_where_it_is_known() -> None:
    ours = compose_config(["benchmark.where.duration=short"]).resolved
    earlier = {"benchmark.version": 1, "sampler.num_frames": 16, "sampler._target_": "x.y"}
    changed = roles.protocol_difference(ours, earlier)
    assert changed["benchmark.where.duration"] == ("short", None)
    assert set(changed) == {"benchmark.where.duration", "sampler._target_"}
    # A part that one of both does not have is not compared; a key of a part of both is.
    later = {**ours, "later": {"form": 1}, "judge": {**ours["judge"], "form": 1}}
    assert roles.protocol_difference(ours, later) == {"judge.form": (None, 1)}


@pytest.mark.slow
def test_a_gate_refuses_any_other_protocol_and_names_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    few = ["-q", "benchmark.limit=4", "sampler.num_frames=2"]
    assert run_command([*few, "output_dir=base"]) == 0
    for key, value in (("benchmark.reply.strip", "true"), ("judge.max_tokens", "3")):
        assert run_command([*few, f"{key}={value}", f"output_dir={key}"]) == 0
        capsys.readouterr()
        assert run_command(["gate", key, "--baseline", "base"]) == 2
        assert key in capsys.readouterr().err


@pytest.mark.slow
def test_a_probe_is_another_protocol_also_for_runs_that_know_none() -> None:
    plain = roles.with_role(compose_config([]).resolved, "protocol")
    earlier = {key: value for key, value in plain.items() if key != "benchmark.probe"}
    assert roles.protocol_difference(plain, earlier) == {}
    probed = compose_config(["probe=reversed"]).resolved
    assert roles.protocol_difference(probed, earlier) == {"benchmark.probe": ("reversed", None)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("benchmark", "switch", "default"),
    [("mmvu/official_cot", "swap_red_blue", True), ("pope/lmms_eval", "upright", True)],
)
def test_how_an_adapter_has_media_read_is_the_protocol(
    benchmark: str, switch: str, default: bool
) -> None:
    key = f"benchmark.adapter.{switch}"
    plain, changed, same = (
        compose_config([f"benchmark={benchmark}", *overrides]).resolved
        for overrides in ([], [f"++{key}={not default}"], [f"++{key}={default}"])
    )
    assert roles.protocol_difference(changed, plain) == {key: (not default, default)}
    assert roles.protocol_difference(same, plain) == {}


def test_a_value_is_put_where_its_key_says() -> None:
    tree, value = {"a": {"b": 1}}, [2]
    roles.put(tree, "a.c.d", value)
    roles.put(tree, "a.b", 3)
    value.append(4)
    assert tree == {"a": {"b": 3, "c": {"d": [2]}}}
    with pytest.raises(ValueError, match=r"a\.b\.x lies below a value"):
        roles.put(tree, "a.b.x", 5)


def test_a_setting_that_one_run_does_not_know_is_no_other_protocol() -> None:
    ours, theirs = ({"benchmark": {"reply": {"strip": strip}}} for strip in (True, False))
    key = "benchmark.reply.strip"
    assert roles.protocol_difference(ours, theirs) == {key: (True, False)}
    assert roles.protocol_difference(ours, {"benchmark": {"system": None}}) == {}
    assert roles.protocol_difference({"benchmark": {"system": None}}, theirs) == {}


def test_an_adapter_that_is_not_ours_is_not_imported_to_compare_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "strangers_adapter.py").write_text("raise SystemExit('it ran')")
    monkeypatch.syspath_prepend(tmp_path)
    ours, theirs = (
        {"benchmark.adapter._target_": "strangers_adapter.rows", "benchmark.adapter.upright": value}
        for value in (True, False)
    )
    assert roles.protocol_difference(ours, theirs) == {"benchmark.adapter.upright": (True, False)}
    assert roles.protocol_difference(ours, ours) == {}
