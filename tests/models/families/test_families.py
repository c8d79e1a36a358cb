"""Every family writes the tokens of plain transformers, alone, batched and from shared prefixes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from packaging.version import Version
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from llava_eval.config.schema import ConversationConfig, ModelConfig
from llava_eval.models.local.checkpoint import find_checkpoint
from llava_eval.models.local.conversation import Conversation
from llava_eval.models.local.model import LoadedModel, load_model
from llava_eval.models.local.plan import plan_checkpoint
from llava_eval.models.local.prepared_media import WholePrompts
from llava_eval.models.local.prompt import PromptWriter
from llava_eval.models.local.runner import ModelRunner
from llava_eval.types import Generation, GenerationSettings, Request
from tests.models.families import FAMILIES, Family
from tests.models.families.plain import NEW_TOKENS, Plain, Turn, image, video
from tests.models.families.untested import UNTESTED

#: numpy's about processors of transformers, and those of transformers about itself.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

SETTINGS = GenerationSettings(max_new_tokens=NEW_TOKENS)
CHAT = ConversationConfig("chat_template")
PLAIN = ConversationConfig("plain", "{system}USER: {user} ASSISTANT:{prefill}")

#: Two are equally long, for models whose rows have to be.
QUESTIONS = ("What is it?", "Where is the blue one?", "Who has it?", "Why?")

#: Families whose processor writes the tokens of an image itself, in front of the text, or none.
WRITES_IMAGES = (
    "blip",
    "blip-2",
    "idefics",
    "instructblip",
    "florence2",
    "fuyu",
    "git",
    "kosmos-2",
)

#: Versions of transformers from which on families run that 5.17 cannot run, or does not have.
SINCE = {
    **dict.fromkeys(("apertus1p5", "hy_v4_vl", "inkling2_loop"), "5.24"),
    **dict.fromkeys(
        (
            *("cosmos3_edge", "dots3_note", "fuyu", "granite4_vision", "hyperclovax_vision_v2"),
            *("inkling2", "lfm3_vl", "minicpm_ocr", "minicpmv4_7", "mistral_large4", "molmo2"),
            *("muse_spark", "nemotron_h_omni", "unlimited_ocr"),
        ),
        "5.23",
    ),
}

#: Families that one version of transformers itself cannot run.
BROKEN = (("llama4", "5.24.0"),)

#: Families of which transformers itself cannot read images and videos in one prompt.
NO_MIXTURE = ("glm4v", "glm46v", "glm4v_moe", "glm_ocr", "molmo2", "smolvlm")


def turns_of(family: Family) -> dict[str, Turn]:
    """Return users' turns: several questions a medium, one, several media, a question before."""
    turns: dict[str, Turn] = {}
    for kind, most, show in (("image", family.images, image), ("video", family.videos, video)):
        if not most:
            continue
        first, second = show(1), show(2, size=(120, 80))
        for number, question in enumerate(QUESTIONS):
            turns[f"{kind}, question {number}"] = (first, question)
        turns[f"another {kind}"] = (second, "What happens?")
        turns[f"another {kind}, the same question"] = (second, "What is it?")
        turns[f"{kind} after text"] = ("Look.", first, "Seen?")
        if most > 1:
            for number, question in enumerate(("Which?", "How do they differ?")):
                turns[f"two {kind}s, question {number}"] = (first, second, question)
    if family.images and family.videos and family.name not in NO_MIXTURE:
        pictures, clips = image(1), video(1)
        for number, question in enumerate(("Which?", "How do they differ?")):
            turns[f"mixed, question {number}"] = (pictures, clips, question)
    return turns


def requests_of(runner: ModelRunner, turns: Mapping[str, Turn]) -> list[Request]:
    """Prepare each medium once."""
    prepared: dict[int, Any] = {}
    for piece in itertools.chain.from_iterable(turns.values()):
        if not isinstance(piece, str) and id(piece[1]) not in prepared:
            prepared[id(piece[1])] = runner.prepare(*piece)
    return [
        Request(
            name,
            tuple(piece if isinstance(piece, str) else prepared[id(piece[1])] for piece in turn),
            SETTINGS,
        )
        for name, turn in turns.items()
    ]


def ask(runner: ModelRunner, turns: Mapping[str, Turn]) -> dict[str, Generation]:
    answers = runner.generate(requests_of(runner, turns))
    return {request.id: generation for request, generation in answers}


def expected(plain: Plain, loaded: LoadedModel, inputs: Any) -> Generation:
    """Return what plain transformers writes, as the runner would say it."""
    tokens = plain.new_tokens(inputs)
    ends = [number for number, token in enumerate(tokens) if token in loaded.end_tokens]
    tokens = tokens[: ends[0] + 1] if ends else tokens
    return Generation(
        text=plain.processor.tokenizer.decode(tokens, skip_special_tokens=True),
        num_input_tokens=inputs["input_ids"].shape[1],
        num_output_tokens=len(tokens),
        stop_reason="eos" if ends else "length",
    )


def test_every_family_of_transformers_is_here_or_named_with_a_reason() -> None:
    known = set(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES)
    assert known <= set(FAMILIES) | set(UNTESTED)
    assert not set(FAMILIES) & set(UNTESTED)
    assert len(FAMILIES) >= 40


def test_the_readme_lists_every_family() -> None:
    text = Path("README.md").read_text(encoding="utf-8")
    rows = text.partition("<!-- families")[2].partition("<!-- end of families")[0].splitlines()
    cells = [row.split("|")[1].strip() for row in rows if row.startswith("| ")]
    names_in_table = [name for cell in cells[2:] for name in cell.split(", ")]
    assert sorted(names_in_table) == sorted(FAMILIES)


def names() -> list[Any]:
    installed = transformers.__version__
    return [
        pytest.param(name, marks=() if family.quick else pytest.mark.slow)
        for name, family in FAMILIES.items()
        if Version(installed) >= Version(SINCE.get(name, "0")) and (name, installed) not in BROKEN
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_same_tokens_as_plain_transformers(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    family.make(tmp_path)
    plain = Plain.load(tmp_path)
    loaded = load_model(plan_checkpoint(find_checkpoint(str(tmp_path)), ModelConfig(device="cpu")))
    conversation = CHAT if family.has_template else PLAIN
    placeholder = None
    if not family.has_template:
        placeholder = "" if name in WRITES_IMAGES else str(plain.processor.image_token)
    turns = turns_of(family)
    inputs = {title: plain.inputs(turn, placeholder) for title, turn in turns.items()}

    _check_inputs(loaded, conversation, turns, inputs)
    texts = {title: expected(plain, loaded, value) for title, value in inputs.items()}
    assert len({generation.text for generation in texts.values()}) > 1
    runner = ModelRunner(loaded, conversation)
    assert ask(runner, turns) == texts
    assert ask(ModelRunner(loaded, conversation, share_prefixes=False), turns) == texts
    some = dict(itertools.islice(turns.items(), 3))
    alone = ask(ModelRunner(loaded, conversation, batch_size=1), some)
    assert alone == {title: texts[title] for title in some}
    paths = runner.settings()["prompts_asked_as"]
    assert paths
    assert all(path.startswith(WHOLE.get(name, "shared prefixes")) for path in paths.values())


#: How families are asked whose prompts share no prefix: PaliGemma's images see the question,
#: InstructBLIP's features depend on it, Florence-2 and T5Gemma have encoders, HyperCLOVA X counts
#: padding, others' generate takes no cache.
WHOLE = {
    "hyperclovax_vision_v2": "whole prompts",
    **dict.fromkeys(
        ("dots3_note", "glm5_next", "hy_v4_vl", "mistral_large4", "qwen4_exp"), "whole prompts"
    ),
    "paligemma": "whole prompts, padded",
    "t5gemma2": "whole prompts, padded",
    "unlimited_ocr": "whole prompts",  # its windows begin where the prompt ends
    "blip": "whole prompts",
    "blip-2": "whole prompts, padded",
    "git": "whole prompts",
    "idefics": "whole prompts, padded",
    "instructblip": "whole prompts, padded",
    "florence2": "whole prompts, of equal length together",
    "kosmos-2": "whole prompts, of equal length together",
}


def _check_inputs(
    loaded: LoadedModel,
    conversation: ConversationConfig,
    turns: Mapping[str, Turn],
    inputs: Mapping[str, Any],
) -> None:
    """Hold all that the model would be given to the processor's own whole prompts."""
    whole = WholePrompts(loaded.processor, {})
    writer = PromptWriter(loaded, Conversation(conversation, loaded.processor), whole)
    runner = ModelRunner(loaded, conversation)
    for request in requests_of(runner, turns):
        title = request.id
        (prompt,) = writer.prompts(request)
        assert list(prompt.token_ids) == inputs[title]["input_ids"][0].tolist()
        ours = loaded.to_device(writer.whole_inputs(prompt))
        assert ours.keys() == inputs[title].keys()
        for key, value in inputs[title].items():
            assert _same(ours[key], value), (title, key)


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)
