"""Composition, and the one line that every mistake must give."""

from __future__ import annotations

import itertools
from pathlib import Path

import hydra
import pytest
from hydra.errors import HydraException
from omegaconf import OmegaConf

from llava_eval.config.choices import list_choices
from llava_eval.config.compose import compose_config, composed_of, expand_sweep
from llava_eval.config.hydra_session import compose_root, hydra_session, without_hydra
from llava_eval.errors import ConfigError
from llava_eval.models.configured_model import check_model
from tests.conftest import slow


def test_defaults_are_the_embedded_benchmark() -> None:
    composed = compose_config([])
    assert composed.config.benchmark.name == "demo/multiple_choice"
    assert composed.config.model.name == "demo"
    assert composed.config.sampler["num_frames"] == 16
    assert composed.benchmark_overrides == {}
    assert composed.model_overrides == {}
    # Of Hydra's own parts, and of those where nothing was chosen, no name is told.
    names = {
        "benchmark": "demo/multiple_choice",
        "model": "demo",
        "sampler": "linspace_to_last_frame",
    }
    assert names.items() <= composed.choices.items()
    assert not {"experiment", "debug", "recipe"} & composed.choices.keys()
    assert not [name for name in composed.choices if name.startswith("hydra/")]


@pytest.mark.slow
def test_values_lie_over_options_as_hydra_lays_them() -> None:
    """Options are composed once, and values laid over a copy: none of them stays for the next."""
    commands: list[list[str]] = [
        [],
        ["sampler.num_frames=3", "model.dtype=float32", "sampler.num_frames=5"],
        ["++benchmark.where.duration=short", "benchmark.source='${benchmark.name}'"],
        ["benchmark.generation={max_new_tokens: 7}", "benchmark.facets=[a,b]", "seed=4"],
        ["benchmark=demo/caption", "benchmark.limit=2", "sampler=at_fps", "sampler.fps=2"],
        ["+benchmark.where.duration=long", "seed=5"],
        [],
    ]
    with hydra_session():
        for words in commands:
            ours = OmegaConf.to_container(without_hydra(compose_root(words)))
            assert ours == OmegaConf.to_container(hydra.compose("config", overrides=words))
        for mistake in ("sampler.frames=3", "seed=x", "model={a: 1}", "errors.max.x=1"):
            with pytest.raises(HydraException) as theirs:
                hydra.compose("config", overrides=["seed=1", mistake])
            with pytest.raises(ConfigError) as refusal:
                compose_root(["seed=1", mistake])
            assert str(refusal.value.__cause__) == str(theirs.value)


@pytest.mark.slow
def test_every_packaged_choice_composes() -> None:
    """Options of different groups are taken together, since each composition takes its time.

    Benchmarks and experiments are composed where their parts and their numbers are checked.
    """
    groups = ("model", "sampler", "scorer", "conversation", "quantization")
    for options in itertools.zip_longest(*map(list_choices, groups)):
        chosen = {group: name for group, name in zip(groups, options, strict=True) if name}
        needed = {"own": "model._target_=x.Y", "hf": "model.checkpoint=x"}
        needed["openai_server"] = needed["hf"]
        extra = [needed[chosen["model"]]] if chosen.get("model") in needed else []
        overrides = [f"{group}={name}" for group, name in chosen.items()]
        assert chosen.items() <= compose_config([*overrides, *extra]).choices.items()


@pytest.mark.slow
def test_the_command_line_wins_over_the_protocol_and_is_shown() -> None:
    composed = compose_config(
        [
            "benchmark=videomme/official",
            "sampler=segment_midpoints",
            "sampler.num_frames=8",
            "benchmark.limit=10",
            "benchmark.generation.max_new_tokens=4",
            "scorer=strict_choice",
            "model=llava_next_video_7b",
            "model.dtype=float16",
            "quantization=bnb_nf4",
            "conversation=vicuna_v1",
        ]
    )
    assert composed.benchmark_overrides == {
        "sampler": "segment_midpoints",
        "scorer": "strict_choice",
        "num_frames": 8,
        "limit": 10,
        "max_new_tokens": 4,
    }
    assert composed.model_overrides == {
        "dtype": "float16",
        "quantization": "bnb_nf4",
        "conversation": "vicuna_v1",
    }


@pytest.mark.parametrize(
    ("overrides", "shown"),
    [
        slow(["scorer=exact_match", "benchmark=demo/caption"], {"scorer": "exact_match"}),
        (
            ["sampler=at_fps", "seed=3"],
            {"sampler": "at_fps", "num_frames": 16, "fps": 1, "seed": 3},
        ),
        slow(["benchmark=demo/caption", "model=llava_next_video_7b"], {}),
        slow(["probe=blind", "scorer=strict_choice"], {"probe": "blind"}),
        slow(["experiment=demo_curve", "scorer=exact_match"], {"scorer": "exact_match"}),
    ],
)
def test_a_finished_run_has_the_same_beside_its_names(
    overrides: list[str], shown: dict[str, object]
) -> None:
    """What was typed is composed with what it comes to; of a run only that is known."""
    composed = compose_config(overrides)
    again = composed_of(composed.resolved, composed.choices)
    for each in (composed, again):
        assert (each.benchmark_overrides, each.model_overrides) == (shown, {})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "shown"),
    [
        ([], {"num_frames": 32, "fps": 1.0}),
        (["sampler.num_frames=null", "sampler.fps=2.0"], {"num_frames": None, "fps": 2.0}),
    ],
)
def test_a_replaced_sampler_is_shown_with_all_its_settings(
    overrides: list[str], shown: dict[str, object]
) -> None:
    # the 32 frames of the protocol are a limit there, which its own file has at 64
    composed = compose_config(["benchmark=videomme/official", "sampler=at_fps", *overrides])
    assert composed.benchmark_overrides == {"sampler": "at_fps", **shown}


@pytest.mark.slow
def test_a_protocols_own_choice_is_no_override() -> None:
    composed = compose_config(
        ["benchmark=videomme/official", "sampler=linspace_to_last_frame", "sampler.num_frames=32"]
    )
    assert composed.benchmark_overrides == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        ["model.rope_scaling={rope_type: linear, factor: 2.0}"],
        ["model.rope_scaling.rope_type=linear", "+model.rope_scaling.factor=2.0"],
    ],
)
def test_rope_scaling_from_the_command_line(overrides: list[str]) -> None:
    composed = compose_config(overrides)
    assert composed.config.model.rope_scaling == {"rope_type": "linear", "factor": 2.0}
    assert composed.model_overrides == {"rope_type": "linear", "factor": 2.0}


@pytest.mark.slow
@pytest.mark.parametrize(
    "override",
    ["judge.response_format={type: json_object}", "judge.response_format.type=json_object"],
)
def test_what_a_protocol_leaves_out_can_be_set_by_its_keys(override: str) -> None:
    composed = compose_config([override])
    assert composed.config.judge.response_format == {"type": "json_object"}
    assert composed.judge_overrides == {"judge.response_format.type": "json_object"}
    submission = compose_config(["+benchmark.submission={_target_: mine.made}"]).config.benchmark
    assert submission.submission == {"_target_": "mine.made"}


@pytest.mark.slow
def test_where_things_lie_is_no_override() -> None:
    composed = compose_config(
        [
            "benchmark.source=/data/rows.jsonl",
            "benchmark.media_root=/data/videos",
            "model=hf",
            "model.checkpoint=/data/model",
            "runner.batch_size=2",
        ]
    )
    assert composed.benchmark_overrides == {}
    assert composed.model_overrides == {}


@pytest.mark.slow
def test_a_seeded_sample_and_a_judge_stand_beside_the_name_in_words_of_their_own() -> None:
    seeded = ["benchmark.subsample.size=5", "benchmark.subsample.seed=3"]
    assert compose_config(seeded).benchmark_overrides == {"sample": "5, seed 3"}
    by = "benchmark.subsample.by=[duration,task_type]"
    assert compose_config([*seeded, by]).benchmark_overrides == {
        "sample": "5 by duration, task_type, seed 3"
    }
    judged = ["benchmark=activitynet_qa/llava_next", "judge.model=x", "judge.temperature=0.5"]
    composed = compose_config(judged)
    assert composed.benchmark_overrides == {}
    assert composed.judge_overrides == {"judge.temperature": 0.5}, "its name stands there anyway"


@pytest.mark.slow
def test_files_of_ones_own_are_read_anew(tmp_path: Path) -> None:
    (tmp_path / "benchmark").mkdir()
    for frames in (2, 4):
        (tmp_path / "benchmark" / "mine.yaml").write_text(
            "# @package _global_\ndefaults:\n  - /benchmark/demo/multiple_choice\n  - _self_\n"
            f"sampler: {{num_frames: {frames}}}\n"
        )
        composed = compose_config(["benchmark=mine"], tmp_path)
        assert composed.config.sampler["num_frames"] == frames
        assert composed.benchmark_overrides == {}


@pytest.mark.slow
def test_another_checkpoint_under_a_models_name_is_shown() -> None:
    composed = compose_config(["model=llava_next_video_7b", "model.checkpoint=/data/mine"])
    assert composed.model_overrides == {"checkpoint": "/data/mine"}


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        slow("benchmrk=demo/caption", ["benchmrk", "did you mean 'benchmark'"]),
        ("benchmark=demo/captoin", ["demo/captoin", "did you mean 'demo/caption'", "available"]),
        ("benchmark=videome/official", ["did you mean 'videomme/official'"]),
        ("benchmark=[demo/caption]", ["benchmark takes the name of one"]),
        ("benchmark.limt=3", ["benchmark.limt", "did you mean 'limit'", "keys of benchmark"]),
        slow("benchmark.generation.max_new_token=3", ["did you mean 'max_new_tokens'"]),
        slow("nothing.here=1", ["nothing.here", "no 'nothing'"]),
        slow("benchmark.limit=abc", ["benchmark.limit", "'abc'", "Integer"]),
        slow("benchmark.limit=1.5", ["benchmark.limit", "1.5", "Integer"]),
        ("benchmark.limit=0", ["benchmark.limit", "at least 1"]),
        slow("benchmark.facets=duration", ["benchmark.facets", "list"]),
        ("model.dtype=fp16", ["model.dtype", "'fp16'", "float16"]),
        ("model.attention=flash_attn_2", ["did you mean 'flash_attention_2'"]),
        slow("model.trust_remote_code=maybe", ["model.trust_remote_code", "maybe"]),
        slow("model=hf", ["model.checkpoint is not set"]),
        ("model=", ["unknown model ''", "available"]),
        ("sampler=linspace_last", ["did you mean 'linspace_to_last_frame'"]),
        slow("sampler.numframes=4", ["did you mean 'num_frames'", "keys of sampler"]),
        slow("sampler.upright=4", ["'sampler.upright'; keys of sampler", "+sampler.upright=..."]),
        ("sampler.num_frames=4,8", ["several values", "-m"]),
        ("quantization=int4", ["unknown quantization 'int4'", "bnb_int8, bnb_nf4, none, torch"]),
        ("experiment=zzz", ["unknown experiment 'zzz'", "available"]),
        ("runner.batch_size=0", ["runner.batch_size", "at least 1"]),
        ("runner=fast", ["unknown runner 'fast'", "default"]),
        slow("errors.max=-1", ["errors.max", "at least 0"]),
        slow("resume=perhaps", ["resume", "perhaps"]),
        slow("+benchmark.colour=red", ["benchmark.colour"]),
        slow("++benchmark.colour=red", ["unknown key 'benchmark.colour'"]),
        ("hydra.sweep.dir=x", ["'hydra.sweep.dir=x' is for a sweep, which llava-eval -m makes"]),
        ("~sampler", ["cannot be removed"]),
        ("foo", ["'foo'", "key=value"]),
        ("=1", ["'=1'", "no key"]),
        ("scorer=null", ["scorer cannot be left out"]),
        ("benchmark=null", ["benchmark cannot be left out"]),
        slow("model.rope_scaling=3", ["model.rope_scaling", "int"]),
        ("a=[1", ["'a=[1'", "key=value"]),
        slow("seed=${nowhere}", ["seed", "nowhere"]),
        slow("seeds=3", ["seeds=N", "word of the command line"]),
        ("model=llava-hf/x-hf", ["unknown model", "model=hf model.checkpoint=FOLDER_OR_HUB_ID"]),
        (
            "benchmark.where.task type=x",
            ['blanks, "benchmark.where={task type: x}"'],
        ),
        ("benchmark.adapter.answer={a}", ["as one text, \"benchmark.adapter.answer='{a}'\""]),
    ],
)
def test_a_mistake_gives_one_line_that_names_it(override: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        compose_config([override])
    message = str(caught.value)
    assert "\n" not in message
    assert "stands for" not in message or "${" in override  # nothing stands for anything else
    for part in parts:
        assert part in message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "text"),
    [
        slow("local/default", "runner:\n  batch_size: 2\n"),
        ("benchmark/quiz", "benchmark:\n  name: quiz\n"),
        slow("benchmark/quiz", "defaults:\n  - override /sampler: at_fps\n  - _self_\n"),
    ],
)
def test_a_file_of_whole_keys_is_told_its_first_line(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.yaml"
    path.parent.mkdir()
    path.write_text(text)
    group, _, option = name.partition("/")
    chosen = [f"{group}={option}"] if group == "benchmark" else []
    with pytest.raises(ConfigError, match="begins with '# @package _global_'"):
        compose_config(chosen, tmp_path)
    path.write_text(f"# @package _global_\n{text}")
    if group == "local":
        assert compose_config(chosen, tmp_path).config.runner.batch_size == 2


@pytest.mark.slow
def test_config_dir_adds_a_benchmark_without_touching_the_package(tmp_path: Path) -> None:
    folder = tmp_path / "my configs' folder" / "benchmark" / "mine"
    folder.mkdir(parents=True)
    (folder / "quiz.yaml").write_text(
        "# @package _global_\n"
        "defaults:\n  - /benchmark/demo/multiple_choice\n  - _self_\n"
        "benchmark:\n  name: mine/quiz\n  source: rows.jsonl\n  num_rows: null\n"
    )
    config_dir = tmp_path / "my configs' folder"
    composed = compose_config(["benchmark=mine/quiz"], config_dir)
    assert composed.config.benchmark.name == "mine/quiz"
    assert composed.benchmark_overrides == {}
    assert "mine/quiz" in list_choices("benchmark", config_dir)
    with pytest.raises(ConfigError, match="did you mean 'mine/quiz'"):
        compose_config(["benchmark=mine/quizz"], config_dir)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("benchmark: {name: x", ["not valid YAML", "bad.yaml"]),
        ("# @package _global_\nbenchmark:\n  nmae: x\n", ["nmae"]),
        slow("# @package _global_\nbenchmark:\n  name: x\n  version: one\n", ["version", "one"]),
        slow("# @package _global_\nbenchmark:\n  name: x\n", ["is not set"]),
        ("defaults:\n  - /benchmark/nowhere\n", ["benchmark/nowhere"]),
    ],
)
def test_a_mistake_in_a_users_file_gives_one_line(
    tmp_path: Path, text: str, parts: list[str]
) -> None:
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "bad.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        compose_config(["benchmark=bad"], tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.slow
def test_settings_of_another_quantization_are_not_named(caplog: pytest.LogCaptureFixture) -> None:
    """A sweep over ways to quantize has them for all of its runs."""
    quantized = "quantization.skip_modules=[lm_head]"
    none = compose_config(["quantization=none", quantized])
    assert none.model_overrides == {}
    assert compose_config(["quantization=bnb_nf4", quantized]).model_overrides == {
        "quantization": "bnb_nf4",
        "skip_modules": ["lm_head"],
    }
    check_model(none.config)
    said = "quantization.skip_modules=['lm_head'] means nothing to quantization=none"
    assert [record.getMessage() for record in caplog.records] == [said]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("conversation=vicuna_v1", {"conversation": "vicuna_v1"}),
        ("conversation.template='{user}'", {"template": "{user}"}),
    ],
)
def test_settings_of_a_literal_template_stand_beside_the_models_name(
    template: str, shown: dict[str, str]
) -> None:
    settings = ["conversation.system=Hi", "conversation.media_separator=' '"]
    composed = compose_config([template, *settings])
    check_model(composed.config)
    assert composed.model_overrides == {**shown, "system": "Hi", "media_separator": " "}
    plain = compose_config(settings)
    assert plain.model_overrides == {}
    with pytest.raises(ConfigError, match=r"conversation\.system=Hi means nothing to "):
        check_model(plain.config)


def test_a_missing_config_dir_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder"):
        compose_config([], tmp_path / "nowhere")


def test_expand_sweep_holds_every_value() -> None:
    variants = expand_sweep(["sampler.num_frames=4,8", "quantization=none,bnb_nf4", "seed=3"])
    assert variants == [
        ["sampler.num_frames=4", "quantization=none", "seed=3"],
        ["sampler.num_frames=8", "quantization=none", "seed=3"],
        ["sampler.num_frames=4", "quantization=bnb_nf4", "seed=3"],
    ]


@pytest.mark.slow
def test_another_scorer_replaces_the_protocols_own_whole() -> None:
    swapped = compose_config(
        ["benchmark=videomme/vlmevalkit", "scorer=longvideobench", "scorer.seed=4"]
    )
    assert "spreadsheet" not in swapped.resolved["scorer"]
    assert swapped.resolved["scorer"]["letters"] == "ABCDE"
    assert swapped.benchmark_overrides == {"scorer": "longvideobench", "seed": 4}
    changed = compose_config(["benchmark=videomme/vlmevalkit", "scorer.spreadsheet=false"])
    assert changed.benchmark_overrides == {"spreadsheet": False}


@pytest.mark.slow
def test_an_experiments_own_keys_of_the_scorer_that_it_chooses_stay(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\n"
        "defaults:\n  - override /benchmark: videomme/vlmevalkit\n"
        "  - override /scorer: longvideobench\n  - _self_\n"
        "scorer: {seed: 4}\n"
    )
    composed = compose_config(["experiment=mine", "scorer.letters=AB"], tmp_path)
    assert "spreadsheet" not in composed.resolved["scorer"]
    assert composed.benchmark_overrides == {"scorer": "longvideobench", "seed": 4, "letters": "AB"}
    # One that the command line chooses has what the command line says of it.
    composed = compose_config(["experiment=mine", "scorer=strict_choice"], tmp_path)
    assert composed.resolved["scorer"] == {"_target_": "llava_eval.scoring.choice.StrictChoice"}
    # So do those that the scorer's own file does not name.
    (tmp_path / "experiment" / "more.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /scorer: strict_choice\n  - _self_\n"
        "scorer: {more: 1}\n"
    )
    composed = compose_config(["benchmark=videomme/vlmevalkit", "experiment=more"], tmp_path)
    assert composed.resolved["scorer"]["more"] == 1


@pytest.mark.slow
def test_keys_that_follow_another_one_go_with_the_scorer_that_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "mine.yaml").write_text(
        "# @package _global_\n"
        "defaults:\n  - /benchmark/demo/multiple_choice\n"
        "  - override /scorer: protocol\n  - _self_\n"
        "scorer: {_target_: mine.Rule, frames: '${sampler.num_frames}'}\n"
    )
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /benchmark: mine\n"
        "  - override /scorer: strict_choice\n  - _self_\n"
    )
    composed = compose_config(["experiment=mine", "sampler.num_frames=7"], tmp_path)
    assert composed.resolved["scorer"] == {"_target_": "llava_eval.scoring.choice.StrictChoice"}


def test_what_a_key_stands_for_is_resolved() -> None:
    composed = compose_config(["model.name=of ${benchmark.limit}", "benchmark.limit=7"])
    assert composed.config.model.name == "of 7"
    assert composed.resolved["model"]["name"] == "of 7"


@pytest.mark.slow
def test_a_scorer_that_stands_for_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "mine.yaml").write_text(
        "# @package _global_\ndefaults: [/benchmark/demo/multiple_choice]\nscorer: ${nothing}\n"
    )
    with pytest.raises(ConfigError, match="scorer: Interpolation key 'nothing' not found"):
        compose_config(["benchmark=mine"], tmp_path)
    swapped = compose_config(["benchmark=mine", "scorer=longvideobench"], tmp_path)
    assert swapped.resolved["scorer"]["letters"] == "ABCDE"


@pytest.mark.slow
def test_the_default_rule_is_a_swap_like_any_other() -> None:
    swapped = compose_config(["benchmark=mlvu/official", "scorer=strict_choice"])
    assert swapped.resolved["scorer"] == {"_target_": "llava_eval.scoring.choice.StrictChoice"}
    assert swapped.benchmark_overrides == {"scorer": "strict_choice"}


@pytest.mark.slow
def test_a_file_without_a_scorer_has_our_own_rule(tmp_path: Path) -> None:
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "plain.yaml").write_text(
        "# @package _global_\n"
        "defaults:\n  - /benchmark/demo/multiple_choice\n"
        "  - override /scorer: protocol\n  - _self_\n"
        "benchmark:\n  name: plain\n"
    )
    composed = compose_config(["benchmark=plain"], tmp_path)
    assert composed.resolved["scorer"] == {"_target_": "llava_eval.scoring.choice.StrictChoice"}
    assert composed.benchmark_overrides == {}


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [["scorer=anls"], ["benchmark=pope/llava", "scorer=anls"]])
def test_a_protocols_own_scorer_is_found_by_its_former_name(overrides: list[str]) -> None:
    composed = compose_config(overrides)
    own = compose_config(["benchmark=docvqa/lmms_eval"])
    assert composed.config.scorer == own.config.scorer
    assert composed.benchmark_overrides["scorer"] == "anls"


@pytest.mark.parametrize(
    "path",
    [
        "~/x y",
        "/数据 é/rows.jsonl",
        slow("a=b"),
        slow("a#b"),
        slow("a(b)"),
        slow("a[1]{2}"),
        slow("1e3"),
        slow("it's"),
        slow("back\\slash"),
        slow("a:b"),
    ],
)
def test_a_path_is_taken_as_it_is_typed(path: str) -> None:
    config = compose_config([f"benchmark.source={path}", f"output_dir={path}"]).config
    assert config.benchmark.source == path
    assert config.output_dir == path


@pytest.mark.slow
def test_a_path_with_a_comma_that_exists_is_no_sweep(tmp_path: Path) -> None:
    folder = tmp_path / "a,b"
    folder.mkdir()
    config = compose_config([f"benchmark.media_root={folder}"]).config
    assert config.benchmark.media_root == str(folder)
    with pytest.raises(ConfigError, match="has several values"):
        compose_config([f"benchmark.media_root={folder}_not_there,x"])


@pytest.mark.slow
def test_a_model_file_of_ones_own_is_told_how_it_begins(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    own = tmp_path / "model" / "mine.yaml"
    own.write_text("# @package _global_\nmodel: {_target_: mine.Model}\n")
    with pytest.raises(ConfigError, match=r"begins with 'defaults: \[own\]'"):
        compose_config(["model=mine"], tmp_path)
    own.write_text("# @package _global_\ndefaults: [own]\nmodel: {_target_: mine.Model}\n")
    assert compose_config(["model=mine"], tmp_path).config.model.is_own
    with pytest.raises(ConfigError, match=r"give it as model\.checkpoint=\.\.\.$"):
        compose_config(["model=hf"])
