"""Where a model runs, in which dtype, and how much memory a token takes."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from llava_eval.errors import CheckpointError
from llava_eval.models.local.hardware import (
    _bytes_per_token,
    choose_attention,
    choose_device,
    choose_dtype,
    device_name,
    free_bytes,
    max_batch_tokens,
)

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("requested", "device", "stored", "dtype"),
    [
        ("auto", CPU, torch.bfloat16, torch.float32),
        ("auto", CUDA, torch.bfloat16, torch.bfloat16),
        ("auto", CUDA, "bfloat16", torch.float16),
        ("auto", CUDA, None, torch.float16),
        ("bfloat16", CPU, torch.float16, torch.bfloat16),
        ("float32", CUDA, torch.float16, torch.float32),
    ],
)
def test_the_dtype(requested: str, device: torch.device, stored: Any, dtype: torch.dtype) -> None:
    assert choose_dtype(requested, device, SimpleNamespace(dtype=stored)) is dtype


def test_weights_that_are_quantized_already_run_in_the_dtype_of_the_others() -> None:
    config = SimpleNamespace(dtype=torch.bfloat16, quantization_config={"load_in_8bit": True})
    assert choose_dtype("auto", CPU, config) is torch.bfloat16


def test_the_device() -> None:
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert device_name(CPU) == "cpu"
    with pytest.raises(CheckpointError, match=r"^model\.device=gpu is no device; expected auto"):
        choose_device("gpu")
    with pytest.raises(CheckpointError, match=r"^model\.device=meta cannot be used here: "):
        choose_device("meta")  # its tensors hold no values
    if not torch.cuda.is_available():
        for name in ("cuda:1", "all"):
            with pytest.raises(CheckpointError, match=f"^model.device={name}, but torch finds"):
                choose_device(name)


@pytest.mark.parametrize(
    ("requested", "device", "dtype", "said"),
    [
        ("flash_attention_2", CPU, torch.float16, "needs a CUDA device, and the model is on cpu"),
        (
            "flash_attention_3",
            CUDA,
            torch.float32,
            "float16 or bfloat16, and model.dtype is float32",
        ),
    ],
)
def test_attention_that_cannot_run_here(
    requested: str, device: torch.device, dtype: torch.dtype, said: str
) -> None:
    with pytest.raises(CheckpointError) as caught:
        choose_attention(requested, device, dtype)
    assert str(caught.value).startswith(f"model.attention={requested} cannot run: it needs ")
    assert str(caught.value).endswith(said)
    found = choose_attention("auto", device, dtype)
    assert (found.implementation, found.is_default) == ("sdpa", True)
    assert said.removeprefix("needs ") in found.reason
    assert choose_attention("eager", device, dtype) == ("eager", "asked for", False)


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        (("flash_attn/cute/__init__.py",), "sdpa"),  # as flash-attn-4 lays itself, alone
        (("flash_attn/__init__.py", "flash_attn/flash_attn_interface.py"), "flash_attention_2"),
        (
            ("flash_attn/__init__.py: raise ImportError", "flash_attn/flash_attn_interface.py"),
            "sdpa",
        ),
    ],
)
def test_which_flash_attention_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: tuple[str, ...], chosen: str
) -> None:
    for file in files:
        name, _, content = file.partition(": ")
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "flash_attn", ModuleType("flash_attn"))  # is absent afterwards
    del sys.modules["flash_attn"]
    assert choose_attention("auto", CUDA, torch.float16).implementation == chosen
    if "flash_attn/cute" in files[0]:
        assert choose_attention("flash_attention_4", CUDA, torch.float16).reason == "asked for"


#: LLaMA 2 7B; keys and values of a token are 2 x 32 layers x 32 heads x 128 numbers.
LLAMA = {
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "intermediate_size": 11008,
}


@pytest.mark.parametrize(
    ("changes", "num_numbers"),
    [
        ({}, 262_144 + 8 * 4096 + 3 * 11008),
        ({"num_key_value_heads": 4}, 32_768 + 8 * 4096 + 3 * 11008),
        ({"head_dim": 64}, 131_072 + 8 * 4096 + 3 * 11008),
        ({"hidden_size": 2048}, 131_072 + 8 * 2048 + 3 * 11008),
        ({"intermediate_size": None}, 262_144 + 8 * 4096 + 12 * 4096),
        ({"intermediate_size": [100, 300, 200]}, 262_144 + 8 * 4096 + 3 * 300),
        ({"num_hidden_layers": 1}, 8_192 + 8 * 4096 + 3 * 11008),
    ],
)
def test_a_tokens_memory(changes: dict[str, Any], num_numbers: int) -> None:
    config = SimpleNamespace(**{**LLAMA, **changes})
    assert _bytes_per_token(config, torch.float16) == 2 * num_numbers
    assert _bytes_per_token(config, torch.float32) == 4 * num_numbers
    assert 1 <= max_batch_tokens(config, torch.float32, CPU) < free_bytes(CPU) / num_numbers / 4


def test_a_model_that_says_nothing_is_taken_for_one_of_seven_billions() -> None:
    numbers = 262_144 + 8 * 4096 + 3 * 4 * 4096
    assert _bytes_per_token(SimpleNamespace(), torch.float16) == 2 * numbers
    layers = [SimpleNamespace(**LLAMA), SimpleNamespace(**LLAMA, num_key_value_heads=1)]
    config = SimpleNamespace(per_layer_config=layers)
    assert _bytes_per_token(config, torch.float16) == 2 * (262_144 + 8 * 4096 + 3 * 11008)


#: Memory of a control group: a limit of 1000 bytes, 400 in use, of which files are 150.
GROUP = {"max": "1000\n", "current": "400\n", "stat": "anon 9\ninactive_file 100\nactive_file 50\n"}


@pytest.mark.parametrize(
    ("line", "folder", "names", "free"),
    [
        ("0::/", "", {"max": "max\n", "current": "4\n"}, 2048),
        ("0::/job/step", "", GROUP, 750),  # as in a container whose host tells its own path
        ("0::/job/step", "job", GROUP, 750),
        ("0::/other", "job", GROUP, 2048),
        ("0::/", "", {**GROUP, "current": "1900\n"}, 0),
        (
            "9:name=systemd:/\n4:memory:/a/b",
            "memory/a/b",
            {
                "limit_in_bytes": "1000\n",
                "usage_in_bytes": "400\n",
                "stat": "inactive_file 1\nactive_file 2\ntotal_inactive_file 100\n"
                "total_active_file 50\n",
            },
            750,
        ),
        (
            "4:memory:/",
            "memory",
            {"limit_in_bytes": f"{2**63 - 4096}", "usage_in_bytes": "1"},
            2048,
        ),
    ],
)
def test_memory_that_a_container_or_job_leaves(
    line: str, folder: str, names: dict[str, str], free: int, tmp_path: Path
) -> None:
    files = {"proc/meminfo": "MemTotal:  9 kB\nMemAvailable:   2 kB\n", "proc/self/cgroup": line}
    files |= {f"sys/fs/cgroup/{folder}/memory.{name}": text for name, text in names.items()}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert free_bytes(CPU, tmp_path) == free
    assert free_bytes(CPU, tmp_path / "no such system") == 4 << 30
