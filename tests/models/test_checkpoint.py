"""Finding and loading checkpoints, and one line for what is none."""

from __future__ import annotations

import copy
import dataclasses
import gc
import hashlib
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    BitsAndBytesConfig,
    TorchAoConfig,
)
from transformers.quantizers.base import HfQuantizer

from llava_eval.borders.hub_cache import hub_errors
from llava_eval.config.schema import ConversationConfig, ModelConfig, QuantizationConfig
from llava_eval.errors import CheckpointError
from llava_eval.models.local.checkpoint import CheckpointFolder, find_checkpoint
from llava_eval.models.local.hardware import choose_attention
from llava_eval.models.local.model import (
    LoadedModel,
    _ask_for_token_types,
    load_model,
    load_model_once,
)
from llava_eval.models.local.plan import dtype_of_weights, foreign_code, plan_checkpoint
from llava_eval.models.local.prepared_media import WholePrompts
from llava_eval.models.local.processor import _adjust_processor, load_processor
from llava_eval.models.local.quantization import quantization_config
from llava_eval.models.local.runner import ModelRunner
from llava_eval.results.identity import first_difference
from tests.models.families import FAMILIES
from tests.models.helpers import make_clip, make_request


@pytest.fixture
def copied(checkpoint: CheckpointFolder, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint.path, tmp_path / "checkpoint"))


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_every_file_is_hashed(checkpoint: CheckpointFolder) -> None:
    digests = dict(checkpoint.file_sha256)
    weights = checkpoint.path / "model.safetensors"
    assert digests["model.safetensors"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert {"config.json", "processor_config.json", "tokenizer.json"} <= set(digests)


@pytest.mark.parametrize("name", ["generation_config.json", "tokenizer_config.json"])
def test_settings_that_are_not_behind_their_links_are_not_taken_for_none(
    name: str, copied: Path
) -> None:
    """As in the hub's cache, whose blobs somebody removed."""
    (copied / f".#{name}").symlink_to("me@host.1")  # as Emacs does while it edits
    assert name in dict(find_checkpoint(str(copied)).file_sha256)
    (copied / name).unlink()
    (copied / name).symlink_to("../../blobs/gone")
    with pytest.raises(CheckpointError, match=rf"{name}: no such file"):
        find_checkpoint(str(copied))


@pytest.mark.parametrize(
    "name", ["additional_chat_templates/default.jinja", "custom_generate/generate.py"]
)
def test_what_lies_in_a_folder_of_its_own_is_hashed(name: str, copied: Path) -> None:
    (copied / name).parent.mkdir()
    (copied / name).write_text("{{ 1 }}")
    digest = dict(find_checkpoint(str(copied)).file_sha256)[name]
    assert digest == hashlib.sha256(b"{{ 1 }}").hexdigest()


def test_code_of_another_repository_is_hashed_as_its_main_branch_has_it(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--some--code"
    for commit in ("a" * 40, "b" * 40):
        (repository / "snapshots" / commit).mkdir(parents=True)
        (repository / "snapshots" / commit / "own.py").write_text(f"NAME = {commit!r}")
    (repository / "refs").mkdir()
    auto_map = {"AutoModel": "not/here--own.Model", "AutoProcessor": "some/code--own.Processor"}
    edit_config(copied, auto_map=auto_map)
    for commit in ("a" * 40, "b" * 40):
        (repository / "refs" / "main").write_text(commit)
        plan = plan_checkpoint(
            find_checkpoint(str(copied)), ModelConfig(device="cpu", trust_remote_code=True)
        )
        digest = plan.identity()["checkpoint_files"]["some/code/own.py"]
        assert digest == hashlib.sha256(f"NAME = {commit!r}".encode()).hexdigest()


def test_the_dtype_of_weights_where_the_configuration_names_none(tmp_path: Path) -> None:
    assert dtype_of_weights(CheckpointFolder(tmp_path, "x", None, ())) is None
    names = ("adapter_model.safetensors", "model-00001-of-00002.safetensors")
    for name, dtype in zip(names, (torch.float32, torch.bfloat16), strict=True):
        save_file({"ids": torch.zeros(2).long(), "w": torch.ones(2, dtype=dtype)}, tmp_path / name)
    folder = CheckpointFolder(tmp_path, "x", None, tuple((name, "") for name in names))
    assert dtype_of_weights(folder) is torch.bfloat16


def test_of_two_formats_one_is_read(copied: Path) -> None:
    size = (copied / "model.safetensors").stat().st_size
    torch.save({"weight": torch.zeros(9)}, copied / "pytorch_model.bin")
    for part in ("00001-of-00002", "00002-of-00002"):  # left by another tool
        shutil.copy(copied / "model.safetensors", copied / f"model-{part}.safetensors")
    assert find_checkpoint(str(copied)).weights_bytes == size


def test_a_length_that_training_left_cuts_no_prompt(copied: Path) -> None:
    path = copied / "tokenizer.json"
    left = {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0}
    path.write_text(json.dumps({**json.loads(path.read_text()), "truncation": left}))
    plan = plan_checkpoint(find_checkpoint(str(copied)), ModelConfig(device="cpu"))
    text = "what is it, and where is it, and which colour has it?"
    inputs = WholePrompts(load_processor(plan), {}).inputs((text, ()))
    assert len(inputs["input_ids"][0]) > 5


@pytest.mark.parametrize("place", ["tokenizer_config.json", "chat_template.json"])
def test_the_chat_template_wherever_a_tool_saved_it(place: str, copied: Path) -> None:
    (copied / "chat_template.jinja").unlink()
    path = copied / place
    stored = json.loads(path.read_text()) if path.is_file() else {}
    named = {"default": "{{ 1 }}", "tool_use": "{{ 2 }}"}
    in_list = [{"name": name, "template": template} for name, template in named.items()]
    stored["chat_template"] = in_list if place.startswith("tokenizer") else named
    path.write_text(json.dumps(stored))
    plan = plan_checkpoint(find_checkpoint(str(copied)), ModelConfig(device="cpu"))
    assert load_processor(plan).chat_template == "{{ 1 }}"


def test_a_quantized_checkpoint_is_not_quantized_again(copied: Path) -> None:
    """Transformers would keep the checkpoint's own scheme, with a warning."""
    edit_config(copied, quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True})
    checkpoint, model = find_checkpoint(str(copied)), ModelConfig(device="cpu")
    with pytest.raises(CheckpointError, match=r"already \(bitsandbytes\), so .*=nf4 would"):
        plan_checkpoint(checkpoint, model, QuantizationConfig("nf4", method="bnb_nf4"))
    assert plan_checkpoint(checkpoint, model).is_quantized
    edit_config(copied, quantization_config={"load_in_8bit": True})  # as bitsandbytes wrote it
    plan = plan_checkpoint(find_checkpoint(str(copied)), model)
    assert plan.stored_quantization == "bitsandbytes"


def test_a_scheme_whose_library_is_missing_is_told_before_weights_are_read(
    checkpoint: CheckpointFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheme = QuantizationConfig("nf4", method="bnb_nf4")
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)  # not installed
    with pytest.raises(CheckpointError, match="bnb_nf4 needs bitsandbytes, which is not installed"):
        plan_checkpoint(checkpoint, ModelConfig(device="cpu"), scheme)


def test_an_empty_quantization_is_none(copied: Path) -> None:
    edit_config(copied, quantization_config={})
    plan = plan_checkpoint(find_checkpoint(str(copied)), ModelConfig(device="cpu"))
    assert (plan.is_quantized, plan.stored_quantization, plan.dtype) == (False, None, torch.float32)


def test_a_quantization_that_transformers_does_not_know(copied: Path) -> None:
    edit_config(copied, quantization_config={"quant_method": "modelopt", "quant_algo": "FP8"})
    with pytest.raises(CheckpointError, match=r"config\.json .*: .* got modelopt"):
        plan_checkpoint(find_checkpoint(str(copied)), ModelConfig(device="cpu"))


def test_a_quantization_that_stands_with_the_language_model(copied: Path) -> None:
    text = json.loads((copied / "config.json").read_text())["text_config"]
    edit_config(copied, text_config={**text, "quantization_config": {"quant_method": "awq"}})
    checkpoint = find_checkpoint(str(copied))
    assert plan_checkpoint(checkpoint, ModelConfig(device="cpu")).stored_quantization == "awq"


@pytest.mark.slow
def test_weights_that_are_not_quantized_under_the_name_that_is_excepted(copied: Path) -> None:
    """AWQ's files of older models except "visual", which is now model.visual."""
    weights = load_file(copied / "model.safetensors")
    del weights["multi_modal_projector.linear_1.weight"]
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    scheme = {"quant_method": "fp8", "modules_to_not_convert": ["model", "lm_head"]}
    edit_config(copied, quantization_config=scheme)
    plan = plan_checkpoint(find_checkpoint(str(copied)), ModelConfig(device="cpu"))
    with pytest.raises(
        CheckpointError, match=r"missing keys.* model\.multi_modal.*_config has to except them"
    ):
        load_model(plan)


def test_an_adapter_without_its_model_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    save_file({"lora_A.weight": torch.zeros(2)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match=r"holds an adapter .* merge_and_unload\(\)"):
        find_checkpoint(str(tmp_path))


def test_an_adapter_is_not_left_out(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copied / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    monkeypatch.setitem(sys.modules, "peft", None)  # not installed
    with pytest.raises(CheckpointError, match=r"brings an adapter .* needs peft, which is not"):
        plan_checkpoint(find_checkpoint(str(copied)), ModelConfig(device="cpu"))


def test_other_weights_have_another_digest(checkpoint: CheckpointFolder, copied: Path) -> None:
    assert find_checkpoint(str(copied)).weights_sha256 == checkpoint.weights_sha256
    weights = load_file(copied / "model.safetensors")
    name = next(iter(weights))
    weights[name] = weights[name] + 1
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    assert find_checkpoint(str(copied)).weights_sha256 != checkpoint.weights_sha256


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("nowhere", "hub id is written organisation/name"),
        ("./nowhere/x", "no such folder"),
        ("organisation/model", "hub cannot be reached"),
        ("bad name/x", "no folder and no hub id"),
    ],
)
def test_an_unknown_checkpoint_is_one_line(name: str, part: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        find_checkpoint(name)
    assert part in str(caught.value)
    assert name in str(caught.value)


def test_a_folder_that_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        find_checkpoint(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="no weights"):
        find_checkpoint(str(tmp_path))
    with pytest.raises(CheckpointError, match="is a file"):
        find_checkpoint(str(tmp_path / "config.json"))
    with pytest.raises(CheckpointError, match=r"model\.revision=main is for hub"):
        find_checkpoint(str(tmp_path), revision="main")


def test_code_of_its_own_that_is_not_run_or_has_no_such_model(copied: Path) -> None:
    edit_config(copied, model_type="own", auto_map={"AutoConfig": "own.Config"})
    with pytest.raises(CheckpointError, match=r"custom code .*; model\.trust_remote_code=true"):
        plan_checkpoint(find_checkpoint(str(copied)), ModelConfig(device="cpu"))
    edit_config(copied, model_type="bert", auto_map={"AutoModelForImageTextToText": "own.Model"})
    with pytest.raises(CheckpointError, match="'bert' checkpoint; expected an image-text-to-text"):
        plan_checkpoint(find_checkpoint(str(copied)), ModelConfig(device="cpu"))
    own = ModelConfig(device="cpu", trust_remote_code=True)
    assert plan_checkpoint(find_checkpoint(str(copied)), own).trust_remote_code
    edit_config(copied, model_type="bert", auto_map={"AutoModelForCausalLM": "own.Model"})
    with pytest.raises(CheckpointError, match="or an auto_map with AutoModelForImageTextToText"):
        plan_checkpoint(
            find_checkpoint(str(copied)), ModelConfig(device="cpu", trust_remote_code=True)
        )


def test_a_model_of_another_kind(copied: Path) -> None:
    (copied / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(CheckpointError, match="'bert' checkpoint; expected an image-text-to-text"):
        plan_checkpoint(find_checkpoint(str(copied)), ModelConfig())


@pytest.mark.parametrize("text", ["{", '{"model_type": "no_such_model"}', "{}"])
def test_an_unusable_config(copied: Path, text: str) -> None:
    (copied / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        plan_checkpoint(find_checkpoint(str(copied)), ModelConfig())


@pytest.mark.parametrize("theta", [0, -1e4, float("nan")])
def test_rotary_frequencies_that_are_none(copied: Path, theta: float) -> None:
    """Each sample failed of logits that are not finite."""
    text = json.loads((copied / "config.json").read_text())["text_config"]
    edit_config(copied, text_config={**text, "rope_parameters": {"rope_theta": theta}})
    with pytest.raises(CheckpointError, match=rf"config\.json .*: rope_theta is {theta}, expected"):
        plan_checkpoint(find_checkpoint(str(copied)), ModelConfig(device="cpu"))


def test_missing_weights_are_never_made_up(copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    gone = next(name for name in weights if "q_proj" in name)
    del weights[gone]
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"1 weights do not fit .missing keys"):
        load_model(plan_checkpoint(find_checkpoint(str(copied)), ModelConfig(device="cpu")))


@pytest.mark.slow
def test_weights_that_the_model_has_no_place_for_are_told(
    copied: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An adapter's that were saved without being merged: the model runs without them."""
    weights = load_file(copied / "model.safetensors")
    weights["model.language_model.layers.0.self_attn.q_proj.lora_A.weight"] = torch.ones(4, 4)
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    load_model(plan_checkpoint(find_checkpoint(str(copied)), ModelConfig(device="cpu")))
    assert "1 weights of its files are not used" in caplog.text
    assert "q_proj.lora_A.weight" in caplog.text


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")  # peft's of transformers
def test_weights_that_an_adapter_lies_beside_are_never_made_up(copied: Path) -> None:
    peft = pytest.importorskip("peft")
    model = AutoModelForImageTextToText.from_pretrained(copied)
    lora = peft.LoraConfig(r=2, target_modules=r".*language_model.*q_proj", init_lora_weights=False)
    peft.get_peft_model(model, lora).save_pretrained(copied)
    plan = plan_checkpoint(find_checkpoint(str(copied)), ModelConfig(device="cpu"))
    before = load_model(plan).model.state_dict()
    assert any("lora_A" in name for name in before)
    weights = load_file(copied / "model.safetensors")
    del weights[next(name for name in weights if "down_proj" in name)]
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"1 weights do not fit .missing keys.*down_proj"):
        load_model(plan)


@pytest.mark.slow
@pytest.mark.parametrize("use_dora", [False, True])
@pytest.mark.filterwarnings("ignore::FutureWarning")  # peft's of transformers
def test_an_adapter_answers_as_peft_has_it(copied: Path, use_dora: bool) -> None:
    peft = pytest.importorskip("peft")
    plain = AutoModelForImageTextToText.from_pretrained(copied, dtype=torch.float32)
    lora = peft.LoraConfig(
        r=2, target_modules=["q_proj"], init_lora_weights=False, use_dora=use_dora
    )
    model = peft.get_peft_model(plain, lora).eval()
    for name, weight in model.named_parameters():
        if "magnitude" in name:
            weight.data *= 1.3
    model.save_pretrained(copied)
    plan = plan_checkpoint(find_checkpoint(str(copied)), ModelConfig(device="cpu", dtype="float32"))
    tokens = torch.arange(5, 15)[None]
    with torch.no_grad():
        assert torch.equal(load_model(plan).model(tokens).logits, model(tokens).logits)


def save_quantized(checkpoint: CheckpointFolder, folder: Path, scheme: Any) -> None:
    """Save a checkpoint as a library of quantization does; some of its weights stay bfloat16."""
    AutoModelForImageTextToText.from_pretrained(
        checkpoint.path, dtype=torch.bfloat16, quantization_config=scheme, device_map="cpu"
    ).save_pretrained(folder)
    AutoProcessor.from_pretrained(checkpoint.path).save_pretrained(folder)


@pytest.mark.slow
def test_a_checkpoint_that_was_saved_quantized_answers(
    checkpoint: CheckpointFolder, tmp_path: Path
) -> None:
    """Its other weights are bfloat16, and stay so where no dtype is asked for."""
    skipped = ["vision_tower"]
    scheme = BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=skipped)
    save_quantized(checkpoint, tmp_path, scheme)
    model = load_model(plan_checkpoint(find_checkpoint(str(tmp_path)), ModelConfig(device="cpu")))
    runner = ModelRunner(model, ConversationConfig("chat_template"))
    medium = runner.prepare("video", make_clip(4, seed=1))
    ((_, answer),) = runner.generate([make_request(medium, "Why?")])
    assert answer.error is None
    assert model.describe()["dtype"] == "bfloat16"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "dtypes"),
    [("bnb_nf4", {torch.float32, torch.uint8}), ("torchao_int4", {torch.float32})],
)
def test_the_other_weights_of_a_quantized_checkpoint_run_in_the_dtype_that_is_asked_for(
    method: str, dtypes: set[torch.dtype], checkpoint: CheckpointFolder, tmp_path: Path
) -> None:
    quantization = QuantizationConfig(
        method, method, group_size=32, skip_modules=["lm_head", "vision_tower"]
    )
    scheme = quantization_config(quantization, torch.bfloat16, torch.device("cpu"))
    save_quantized(checkpoint, tmp_path, scheme)
    asked = ModelConfig(device="cpu", dtype="float32")
    model = load_model(plan_checkpoint(find_checkpoint(str(tmp_path)), asked))
    assert {weight.dtype for weight in model.model.parameters()} == dtypes
    runner = ModelRunner(model, ConversationConfig("chat_template"))
    medium = runner.prepare("video", make_clip(4, seed=1))
    ((_, answer),) = runner.generate([make_request(medium, "Why?")])
    assert answer.error is None


@pytest.mark.slow
def test_a_library_of_quantization_is_told_the_device(
    checkpoint: CheckpointFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GPTQ's and AWQ's choose kernels by it, and those of a CPU without it."""
    from torchao.quantization import Int8WeightOnlyConfig

    save_quantized(checkpoint, tmp_path, TorchAoConfig(Int8WeightOnlyConfig()))
    told: list[Any] = []

    def listen(quantizer: HfQuantizer, places: Any) -> Any:
        told.append(places)
        return places

    monkeypatch.setattr(HfQuantizer, "update_device_map", listen)
    load_model(plan_checkpoint(find_checkpoint(str(tmp_path)), ModelConfig(device="cpu")))
    assert told == [{"": torch.device("cpu")}]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # compressed-tensors' own
def test_parts_of_a_model_that_compressed_tensors_packed_run_by_themselves(copied: Path) -> None:
    """It unpacks weights before the first pass of the whole model, which shared prefixes avoid."""
    pytest.importorskip("compressed_tensors")
    plain = AutoModelForImageTextToText.from_pretrained(copied, dtype=torch.float32)
    packed = load_file(copied / "model.safetensors")
    for title, module in plain.get_decoder().named_modules():
        if isinstance(module, torch.nn.Linear):
            scale = module.weight.abs().amax(1, keepdim=True) / 448  # the largest of float8
            codes = (module.weight / scale).to(torch.float8_e4m3fn)
            module.weight.data = codes.float() * scale
            packed[f"language_model.model.{title}.weight"] = codes
            packed[f"language_model.model.{title}.weight_scale"] = scale.detach()
    save_file(packed, copied / "model.safetensors", metadata={"format": "pt"})
    weights = {"num_bits": 8, "type": "float", "symmetric": True, "strategy": "channel"}
    scheme = {
        "quant_method": "compressed-tensors",
        "format": "naive-quantized",
        "quantization_status": "compressed",
        "ignore": ["re:.*(vision_tower|multi_modal_projector|lm_head).*"],
        "config_groups": {"all": {"targets": ["Linear"], "weights": weights}},
    }
    edit_config(copied, quantization_config=scheme)
    plan = plan_checkpoint(find_checkpoint(str(copied)), ModelConfig(device="cpu", dtype="float32"))
    loaded, tokens = load_model(plan), torch.arange(5, 15)[None]
    with torch.no_grad():
        found, expected = (
            model.get_decoder()(tokens).last_hidden_state for model in (loaded.model, plain)
        )
    torch.testing.assert_close(found, expected)
    description = loaded.describe()
    assert description["memory_bytes"] > 0.9 * description["memory_bytes_unquantized"]


@pytest.mark.slow
def test_a_dtype_that_quantized_weights_do_not_compute_in(
    checkpoint: CheckpointFolder, tmp_path: Path
) -> None:
    from torchao.quantization import Float8WeightOnlyConfig

    save_quantized(checkpoint, tmp_path, TorchAoConfig(Float8WeightOnlyConfig()))
    folder = find_checkpoint(str(tmp_path))
    load_model(plan_checkpoint(folder, ModelConfig(device="cpu")))
    with pytest.raises(CheckpointError, match=r"bfloat16 alone; set model\.dtype=auto"):
        load_model(plan_checkpoint(folder, ModelConfig(device="cpu", dtype="float32")))


def test_replies_end_where_the_tokenizer_alone_names_the_token(copied: Path) -> None:
    (copied / "generation_config.json").unlink()
    config = json.loads((copied / "config.json").read_text())
    for part in (config, config["text_config"]):
        part.pop("eos_token_id", None)
    (copied / "config.json").write_text(json.dumps(config))
    model = load_model(plan_checkpoint(find_checkpoint(str(copied)), ModelConfig(device="cpu")))
    (end,) = model.end_tokens
    assert model.tokenizer.convert_ids_to_tokens(end) == model.tokenizer.eos_token


@pytest.mark.parametrize("content", ["", '{"eos_token_id": [2,'])
def test_damaged_generation_settings_are_not_read_as_none(content: str, copied: Path) -> None:
    (copied / "generation_config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"generation_config\.json cannot be used: .*JSON"):
        plan_checkpoint(find_checkpoint(str(copied)), ModelConfig(device="cpu"))


@pytest.mark.parametrize("value", ["2", ["2"], [2, "3"], {"a": 1}, True])
def test_an_end_token_that_is_no_number(value: object, copied: Path) -> None:
    (copied / "generation_config.json").write_text(json.dumps({"eos_token_id": value}))
    with pytest.raises(
        CheckpointError, match=r"generation_config\.json .*: eos_token_id is .*, exp"
    ):
        plan_checkpoint(find_checkpoint(str(copied)), ModelConfig(device="cpu"))


@pytest.mark.parametrize(
    ("stored", "search"),
    [
        ({"penalty_alpha": 0.6, "top_k": 4}, "contrastive_search"),
        ({"penalty_alpha": 0.6}, "contrastive_search"),
        ({"dola_layers": "high"}, "dola_generation"),
        ({"force_words_ids": [[3]]}, "constrained_beam_search"),
        ({"assistant_early_exit": 2}, None),  # changes no text
        ({"num_beams": 4, "do_sample": True}, None),  # a protocol's to say
        ({"watermarking_config": {"greenlist_ratio": 0.5}}, None),
    ],
)
def test_settings_that_transformers_cannot_keep(
    stored: dict[str, object], search: str | None, copied: Path
) -> None:
    (copied / "generation_config.json").write_text(json.dumps(stored))
    checkpoint, model = find_checkpoint(str(copied)), ModelConfig(device="cpu")
    assert plan_checkpoint(checkpoint, model).kept_generation_settings == {}
    if search is None:
        plan = plan_checkpoint(checkpoint, model, keeps_generation_settings=True)
        json.dumps(plan.identity())
    else:
        with pytest.raises(CheckpointError, match=f"asks for {search}, .*_settings=protocol$"):
            plan_checkpoint(checkpoint, model, keeps_generation_settings=True)


@pytest.mark.parametrize(
    ("name", "value", "is_always_in_force"),
    [
        ("bad_words_ids", [5], True),
        ("bad_words_ids", [[99999]], True),
        ("suppress_tokens", "5", True),
        ("begin_suppress_tokens", 5, True),
        ("forced_eos_token_id", 99999, True),
        ("repetition_penalty", "1.5", False),
        ("guidance_scale", "a", False),
        ("exponential_decay_length_penalty", 3, False),
    ],
)
def test_a_setting_that_would_fail_every_sample(
    name: str, value: object, is_always_in_force: bool, copied: Path
) -> None:
    (copied / "generation_config.json").write_text(json.dumps({name: value}))
    checkpoint, model = find_checkpoint(str(copied)), ModelConfig(device="cpu")
    with pytest.raises(CheckpointError, match=f"{name}=.* of its generation_config.json: "):
        plan_checkpoint(checkpoint, model, keeps_generation_settings=True)
    if is_always_in_force:
        with pytest.raises(CheckpointError, match=f"{name}=.* of its generation_config.json: "):
            plan_checkpoint(checkpoint, model)
    else:
        assert name in plan_checkpoint(checkpoint, model).unstated_generation_settings


def test_settings_that_change_no_text_are_not_kept(copied: Path) -> None:
    stored = {
        "custom_generate": "someone/search",
        "max_window_size": 6144,
        "repetition_penalty": 1.0,
        "top_h": 0.5,
        "min_length": 30,
        "do_sample": True,
        "temperature": 0.5,
        "own_id": "of another tool",
    }
    tokens = {"eos_token_id": [2, 5], "suppress_tokens": [7]}  # part of the model's format
    (copied / "generation_config.json").write_text(json.dumps({**stored, **tokens}))
    plan = plan_checkpoint(
        find_checkpoint(str(copied)), ModelConfig(device="cpu"), keeps_generation_settings=True
    )
    assert plan.kept_generation_settings == {"min_length": 30}
    assert plan.generation_settings == stored


def test_a_token_that_a_model_adds_to_its_vocabulary_may_be_suppressed(copied: Path) -> None:
    """As Idefics's do: 1024 tokens and ten more."""
    text = json.loads((copied / "config.json").read_text())["text_config"]
    edit_config(copied, text_config={**text, "additional_vocab_size": 10})
    model = ModelConfig(device="cpu")
    for usable in ({"bad_words_ids": [[1033]]}, {"forced_eos_token_id": 1033}):
        (copied / "generation_config.json").write_text(json.dumps(usable))
        plan_checkpoint(find_checkpoint(str(copied)), model)
    (copied / "generation_config.json").write_text(json.dumps({"bad_words_ids": [[1034]]}))
    with pytest.raises(CheckpointError, match=r"bad_words_ids=\[\[1034\]\] of its generation"):
        plan_checkpoint(find_checkpoint(str(copied)), model)


def test_a_setting_that_asks_the_model_once_more_is_kept(copied: Path) -> None:
    (copied / "generation_config.json").write_text(json.dumps({"guidance_scale": 1.5}))
    plan = plan_checkpoint(
        find_checkpoint(str(copied)), ModelConfig(device="cpu"), keeps_generation_settings=True
    )
    assert plan.kept_generation_settings == {"guidance_scale": 1.5}


@pytest.mark.parametrize("place", ["", "text_config"])
def test_settings_of_generating_may_stand_in_the_configuration(place: str, copied: Path) -> None:
    """Of files that are older than generation_config.json."""
    (copied / "generation_config.json").unlink()
    config = json.loads((copied / "config.json").read_text())
    (config[place] if place else config)["repetition_penalty"] = 1.2
    (copied / "config.json").write_text(json.dumps(config))
    plain = AutoModelForImageTextToText.from_pretrained(copied)
    assert plain.generation_config.repetition_penalty == 1.2
    checkpoint, model = find_checkpoint(str(copied)), ModelConfig(device="cpu")
    for keeps, how in ((True, "kept"), (False, "dropped")):
        plan = plan_checkpoint(checkpoint, model, keeps_generation_settings=keeps)
        assert plan.identity()["model"]["generation_settings"] == {how: {"repetition_penalty": 1.2}}
        assert plan.kept_generation_settings == ({"repetition_penalty": 1.2} if keeps else {})
    (config[place] if place else config)["repetition_penalty"] = -1
    (copied / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"repetition_penalty=-1 of its config\.json: "):
        plan_checkpoint(checkpoint, model, keeps_generation_settings=True)


def test_what_of_a_plan_identifies_a_run(checkpoint: CheckpointFolder) -> None:
    model = ModelConfig(
        device="cpu",
        dtype="bfloat16",
        attention="eager",
        rope_scaling={"rope_type": "linear", "factor": 2.0},
        processor={"do_pad": False},
        video_as="images",
    )
    plan = plan_checkpoint(checkpoint, model, QuantizationConfig("none", group_size=7))
    assert plan.identity()["model"] == {
        "dtype": "torch.bfloat16",
        "attention": "eager",
        "rope_scaling": {"rope_type": "linear", "factor": 2.0},
        "quantization": {
            "method": None,
            "double_quant": True,
            "compute_dtype": None,
            "group_size": 7,
            "skip_modules": [],
        },
        "processor": {"do_pad": False},
        "video_as": "images",
    }
    assert plan.shows_images
    plain = plan_checkpoint(checkpoint, ModelConfig(device="cpu"))
    assert not plain.shows_images
    assert set(plain.identity()["model"]) == {"dtype", "attention", "rope_scaling", "quantization"}


def test_the_dtype_of_a_configuration_that_names_none_is_that_of_the_weights(copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    del config["dtype"]
    (copied / "config.json").write_text(json.dumps(config))
    folder, model = find_checkpoint(str(copied)), ModelConfig(device="cpu")
    assert plan_checkpoint(folder, model).stored_dtype is torch.float16
    edit_config(copied, dtype={"text_config": "bfloat16"})  # of a part; the rest is not said
    assert plan_checkpoint(folder, model).stored_dtype is None
    (copied / "config.json").write_text(json.dumps(config))
    path = copied / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read: "):
        plan_checkpoint(folder, model)


def test_damaged_weights(copied: Path) -> None:
    path = copied / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load_model(plan_checkpoint(find_checkpoint(str(copied)), ModelConfig(device="cpu")))


def test_weights_of_other_shapes(copied: Path) -> None:
    text = json.loads((copied / "config.json").read_text())["text_config"]
    edit_config(copied, text_config={**text, "intermediate_size": text["intermediate_size"] + 8})
    with pytest.raises(CheckpointError, match=r"do not fit .mismatched keys.*mlp"):
        load_model(plan_checkpoint(find_checkpoint(str(copied)), ModelConfig(device="cpu")))


@pytest.mark.parametrize("device", ["tpu", "meta", "cuda:x"])
def test_a_device_that_cannot_be_used(checkpoint: CheckpointFolder, device: str) -> None:
    with pytest.raises(CheckpointError, match=f"model.device={device}"):
        plan_checkpoint(checkpoint, ModelConfig(device=device))


def test_a_run_may_go_on_on_another_device_in_the_same_dtype(checkpoint: CheckpointFolder) -> None:
    here = plan_checkpoint(checkpoint, ModelConfig(device="cpu"))
    there = dataclasses.replace(here, device=torch.device("cuda"))
    assert there.identity() == here.identity()
    half = dataclasses.replace(there, dtype=torch.float16)  # as dtype=auto may choose there
    difference = first_difference(half.identity(), here.identity(), "{key}: {theirs}, {ours}")
    assert difference == "model.dtype: torch.float32, torch.float16"


@pytest.mark.parametrize(
    ("scaling", "part"),
    [
        ({"rope_type": "linaer", "factor": 2.0}, "unknown rope_type 'linaer'; known: default,"),
        ({"rope_type": "linear", "factor": "x"}, "factor is 'x', expected more than 0"),
        ({"rope_type": "linear", "factor": -1.0}, r"factor is -1\.0, expected more than 0"),
        ({"factor": 2.0}, "changes nothing without a rope_type"),
    ],
)
def test_rope_scaling_that_would_be_refused_or_ignored(
    checkpoint: CheckpointFolder, scaling: dict[str, object], part: str
) -> None:
    with pytest.raises(CheckpointError, match=part):
        plan_checkpoint(checkpoint, ModelConfig(device="cpu", rope_scaling=scaling))


def test_a_checkpoint_without_processor(copied: Path) -> None:
    (copied / "processor_config.json").unlink()
    (copied / "tokenizer.json").unlink()
    (copied / "tokenizer_config.json").unlink()
    with pytest.raises(CheckpointError, match="processor"):
        load_model(plan_checkpoint(find_checkpoint(str(copied)), ModelConfig(device="cpu")))


@pytest.mark.parametrize("name", ["patch_size", "vision_feature_select_strategy"])
def test_a_processor_of_before_that_lacks_the_size_of_patches(name: str, copied: Path) -> None:
    """Each sample failed with "unsupported operand type(s) for //: 'int' and 'NoneType'"."""
    path = copied / "processor_config.json"
    stored = json.loads(path.read_text())
    del stored[name]
    path.write_text(json.dumps(stored))
    plan = plan_checkpoint(find_checkpoint(str(copied)), ModelConfig(device="cpu"))
    with pytest.raises(CheckpointError, match=rf"processor_config\.json lacks {name}; set it"):
        load_processor(plan)


def test_what_is_loaded_is_described(loaded: LoadedModel) -> None:
    described = loaded.describe()
    assert described["class"] == "LlavaNextVideoForConditionalGeneration"
    assert described["dtype"] == "float32"
    assert described["attention"] == "sdpa"
    assert "CUDA" in described["attention_reason"]
    assert len(described["weights_sha256"]) == 64
    assert json.loads(json.dumps(described)) == described
    assert loaded.processor.tokenizer.padding_side == "left"


def test_silent_generation_settings_are_dropped_and_told(copied: Path) -> None:
    path = copied / "generation_config.json"
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({**stored, "repetition_penalty": 1.3, "max_length": 99}))
    model = load_model(plan_checkpoint(find_checkpoint(str(copied)), ModelConfig(device="cpu")))
    assert model.describe()["ignored_generation_settings"]["repetition_penalty"] == 1.3
    assert model.model.generation_config.repetition_penalty != 1.3
    assert model.model.generation_config.eos_token_id == stored["eos_token_id"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["return_dict_in_generate", "prompt_lookup_num_tokens"])
def test_what_a_checkpoint_asks_generate_for_beside_a_text_is_not_kept(
    loaded: LoadedModel, copied: Path, name: str
) -> None:
    path = copied / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: 3}))
    plan = plan_checkpoint(
        find_checkpoint(str(copied)), ModelConfig(device="cpu"), keeps_generation_settings=True
    )
    assert plan.kept_generation_settings == {}
    answers = []
    for model in (loaded, load_model(plan)):
        runner = ModelRunner(model, ConversationConfig("chat_template"))
        medium = runner.prepare("video", make_clip(4, seed=1))
        answers += [answer for _, answer in runner.generate([make_request(medium, "Why?")])]
    assert answers[0] == answers[1]
    assert answers[0].error is None


@pytest.mark.slow
def test_the_model_loaded_last_stays_loaded(checkpoint: CheckpointFolder) -> None:
    plan = plan_checkpoint(checkpoint, ModelConfig(device="cpu"))
    first = load_model_once(plan)
    assert load_model_once(plan_checkpoint(checkpoint, ModelConfig(device="cpu"))) is first
    other = load_model_once(
        plan_checkpoint(checkpoint, ModelConfig(device="cpu", dtype="bfloat16"))
    )
    assert next(other.model.parameters()).dtype == torch.bfloat16
    assert load_model_once(plan) is not first


@pytest.mark.slow
def test_garbage_is_searched_for_only_where_a_model_was_let_go(copied: Path) -> None:
    searched: list[str] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            searched.append("all" if info["generation"] == 2 else "some")

    def load(folder: Path) -> LoadedModel:
        plan = plan_checkpoint(find_checkpoint(str(folder)), ModelConfig(device="cpu"))
        searched.clear()
        return load_model_once(plan)

    broken = Path(shutil.copytree(copied, copied.with_name("broken")))
    (broken / "model.safetensors").write_bytes(b"no weights")
    gc.disable()  # what is searched for now is asked for
    gc.callbacks.append(note)
    try:
        first = load(copied)
        assert load(copied) is first
        assert searched == []
        with pytest.raises(CheckpointError):
            load(broken)
        assert searched == ["all"]
        load(copied)
        assert searched == ["all"]
    finally:
        gc.callbacks.remove(note)
        gc.enable()


def test_auto_attention_on_a_cpu_is_sdpa() -> None:
    choice = choose_attention("auto", torch.device("cpu"), torch.float32)
    assert choice.implementation == "sdpa"
    assert choose_attention("eager", torch.device("cpu"), torch.float32).implementation == "eager"


@pytest.mark.parametrize("name", ["flash_attention_2", "flash_attention_3", "flash_attention_4"])
def test_flash_attention_cannot_run_on_a_cpu(name: str) -> None:
    with pytest.raises(CheckpointError, match=f"model.attention={name} cannot run: .*CUDA"):
        choose_attention(name, torch.device("cpu"), torch.float16)


def test_flash_attention_needs_half_precision() -> None:
    with pytest.raises(CheckpointError, match="float32"):
        choose_attention("flash_attention_2", torch.device("cuda"), torch.float32)


@pytest.mark.parametrize(("device", "part"), [("tpu9", "no device"), ("cuda:0", "no CUDA device")])
def test_a_device_that_is_not_there(checkpoint: CheckpointFolder, device: str, part: str) -> None:
    if device.startswith("cuda") and torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(CheckpointError, match=part):
        plan_checkpoint(checkpoint, ModelConfig(device=device))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["bnb_nf4", "bnb_int8", "torchao_int8", "torchao_int4"])
def test_quantization_really_quantizes_the_language_model_only(
    checkpoint: CheckpointFolder, loaded: LoadedModel, method: str
) -> None:
    skipped = ["vision_tower", "multi_modal_projector", "lm_head"]
    scheme = QuantizationConfig(method, method, skip_modules=skipped)
    plan = plan_checkpoint(checkpoint, ModelConfig(device="cpu"), scheme)
    quantized = load_model(plan)
    kinds = {"Linear4bit", "Linear8bitLt", "Int8Tensor", "IntxUnpackedToInt8Tensor"}

    def found(part: torch.nn.Module) -> set[str]:
        types = {type(module).__name__ for module in part.modules()}
        return (types | {type(weight).__name__ for weight in part.parameters()}) & kinds

    assert len(found(quantized.model.model.language_model)) == 1
    assert not found(quantized.model.model.vision_tower)
    before, after = loaded.describe(), quantized.describe()
    assert after["num_parameters"] == before["num_parameters"]
    assert after["memory_bytes_unquantized"] == before["memory_bytes"]
    assert after["memory_bytes"] < before["memory_bytes"]


@pytest.mark.slow
def test_experts_that_no_quantization_takes_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    FAMILIES["qwen3_vl_moe"].make(tmp_path)
    scheme = QuantizationConfig("bnb_nf4", "bnb_nf4", skip_modules=["visual", "lm_head"])
    load_model(plan_checkpoint(find_checkpoint(str(tmp_path)), ModelConfig(device="cpu"), scheme))
    # 2 layers of 4 experts with 3 matrices of 64 x 32 float32, of 936,704 bytes.
    assert "quantization=bnb_nf4 leaves its experts as they are: they take 21 %" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("bits", ["load_in_4bit", "load_in_8bit"])
def test_plain_weights_that_are_said_to_be_quantized(copied: Path, bits: str) -> None:
    """As merged adapters are saved whose base was quantized while it was trained."""
    edit_config(copied, quantization_config={"quant_method": "bitsandbytes", bits: True})
    plan = plan_checkpoint(find_checkpoint(str(copied)), ModelConfig(device="cpu"))
    with pytest.raises(CheckpointError, match=r"stored plain; take quantization_config out of it$"):
        load_model(plan)


@pytest.mark.parametrize("size", [128, 0])
def test_groups_that_do_not_fit_into_a_layer(checkpoint: CheckpointFolder, size: int) -> None:
    scheme = QuantizationConfig("torchao_int4", "torchao_int4", group_size=size)
    with pytest.raises(CheckpointError, match=rf"group_size={size} does not divide .* model, 192$"):
        plan_checkpoint(checkpoint, ModelConfig(device="cpu"), scheme)


def test_the_hubs_cache_names_files_by_their_digests(copied: Path, tmp_path: Path) -> None:
    """Its links lead to large files named by their SHA-256, and small ones by git's shorter one."""
    named = "0123456789abcdef" * 4
    for name, blob in (("model.safetensors", named), ("config.json", named[:40])):
        stored = (copied / name).rename(tmp_path / blob)
        (copied / name).symlink_to(stored)
    plain = (copied / "tokenizer.json").rename(tmp_path / "tokenizer.json")
    (copied / "tokenizer.json").symlink_to(plain)
    digests = dict(find_checkpoint(str(copied)).file_sha256)
    assert digests["model.safetensors"] == named
    for name, file in (("config.json", tmp_path / named[:40]), ("tokenizer.json", plain)):
        assert digests[name] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_weights_digest_and_size_are_of_weight_files(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "b.bin").write_bytes(b"1234567")
    (tmp_path / "a.safetensors").write_bytes(b"123")
    (tmp_path / "notes.md").write_bytes(b"1")
    (tmp_path / "folder.json").mkdir()
    found = find_checkpoint(str(tmp_path))
    assert [name for name, _ in found.file_sha256] == ["a.safetensors", "b.bin", "config.json"]
    assert found.weights_bytes == 10
    lines = [
        f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        for name, content in (("a.safetensors", b"123"), ("b.bin", b"1234567"))
    ]
    assert found.weights_sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert (found.path, found.commit) == (tmp_path, None)


def test_settings_go_to_every_part_that_knows_them(
    loaded: LoadedModel, caplog: pytest.LogCaptureFixture
) -> None:
    processor = copy.copy(loaded.processor)
    grid = [[28, 56], [56, 28]]
    _adjust_processor(processor, {"do_normalize": False, "image_grid_pinpoints": grid})
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("model.processor.image_grid_pinpoints changes images alone: Llava")
    images, videos = processor.image_processor, processor.video_processor
    assert (images.do_normalize, videos.do_normalize) == (False, False)
    assert images.image_grid_pinpoints == grid
    assert images.size == loaded.processor.image_processor.size
    assert loaded.processor.image_processor.do_normalize
    with pytest.raises(CheckpointError, match=r"^model\.processor\.do_normalise: .* no such set"):
        _adjust_processor(processor, {"do_normalize": True, "do_normalise": True})
    with pytest.raises(CheckpointError, match=r"^model\.processor: {'size': 'x'} is refused: "):
        _adjust_processor(processor, {"size": "x"})
    with pytest.raises(
        CheckpointError, match=r"^model\.processor\.fps: frames are chosen by the sampler"
    ):
        _adjust_processor(processor, {"do_normalize": True, "fps": 1})
    before = processor.image_processor
    _adjust_processor(processor, {})
    assert processor.image_processor is before


def needing(mm_token_type_ids: object) -> None: ...
def offering(mm_token_type_ids: object = None) -> None: ...
def without(image_grid_thw: object) -> None: ...


@pytest.mark.parametrize(
    ("positions", "is_asked"), [(needing, True), (offering, False), (without, False), (None, False)]
)
def test_token_types_are_asked_for_where_positions_need_them(
    positions: object, is_asked: bool
) -> None:
    processor = SimpleNamespace(return_mm_token_type_ids=False)
    inner = SimpleNamespace() if positions is None else SimpleNamespace(get_rope_index=positions)
    _ask_for_token_types(SimpleNamespace(model=inner), processor)
    _ask_for_token_types(SimpleNamespace(), processor)
    assert processor.return_mm_token_type_ids is is_asked


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError("no such file"), "it fails: no such file"),
        (ValueError("bad\nvalue"), "it fails: bad"),
        (KeyError("size"), "it fails: KeyError: 'size'"),
        (AttributeError("no x"), "it fails: AttributeError: no x"),
        (AttributeError(), "it fails: AttributeError"),
        (SystemExit("no GPU"), "it fails: SystemExit: no GPU"),
    ],
)
def test_what_transformers_raises_is_one_line(error: BaseException, said: str) -> None:
    with pytest.raises(CheckpointError) as caught, foreign_code("it fails"):
        raise error
    assert str(caught.value) == said
    assert caught.value.__cause__ is error


def test_a_connection_to_the_hub_that_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object, **__: object) -> str:
        raise hub_errors()[0]("Server disconnected without sending a response.")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", breaks)
    with pytest.raises(CheckpointError, match="does not hand out a/b: Server disconnected"):
        find_checkpoint("a/b", None)


def test_what_is_downloaded_of_a_hub_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = ["model-00001-of-00002.safetensors", "adapter_model.safetensors"]
    others = ["consolidated.safetensors", "consolidated-00001-of-00002.safetensors", "x.msgpack"]
    steps = [f"checkpoint-500/{name}" for name in ("model.safetensors", "optimizer.bin")]
    settings = ["config.json", "model.safetensors.index.json", "custom_generate/generate.py"]
    held = [*weights, *others, *steps, *settings]
    taken: list[str] = []

    def download(
        _: str, *, allow_patterns: list[str], ignore_patterns: list[str], **__: object
    ) -> str:
        taken.extend(
            filter_repo_objects(
                held, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns
            )
        )
        return str(tmp_path)

    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(CheckpointError, match="holds no weights"):
        find_checkpoint("a/b", None)
    assert list(dict.fromkeys(taken)) == [*weights, *settings]
