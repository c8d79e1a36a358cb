"""Prompts to the letter, and templates that would change them."""

from __future__ import annotations

import copy
import dataclasses
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoProcessor

from llava_eval.config.compose import compose_config
from llava_eval.config.schema import ConversationConfig
from llava_eval.errors import CheckpointError, ConfigError, PromptError
from llava_eval.models.local import template_limits
from llava_eval.models.local.conversation import Conversation
from llava_eval.models.local.model import LoadedModel
from llava_eval.models.local.placeholders import Placeholders
from llava_eval.types import Request
from tests.models.families import FAMILIES
from tests.models.helpers import make_medium, make_request

SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions."
)
#: As LLaVA-NeXT-Video's converter wrote it: a system text comes out twice.
DOUBLED_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ m.content[0].text }}{% endif %}"
    "{% for c in m.content %}{% if c.type == 'text' %}{{ c.text }}"
    "{% else %}<video>\n{% endif %}{% endfor %}{% endfor %}"
)

VIDEO, IMAGE = make_medium("video"), make_medium("image")


def configured(name: str, processor: Any) -> Conversation:
    config = compose_config([f"conversation={name}"]).config.conversation
    return Conversation(config, processor)


def render(name: str, loaded: LoadedModel, request: Request) -> str:
    return configured(name, loaded.processor).render(request)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("behind_a_reply", "expected"), [("<pad>\n", "<pad>"), (" </s>", "</s>"), ("\n", "</s>")]
)
def test_an_option_ends_as_the_template_ends_a_turn(
    loaded: LoadedModel, behind_a_reply: str, expected: str
) -> None:
    """Gemma's does so with ``<end_of_turn>``, which is not the end of its texts."""
    template = (
        "{% for m in messages %}{{ m.role }}: {{ m.content[0].text }}"
        f"{{% if m.role == 'assistant' %}}{behind_a_reply}{{% endif %}}{{% endfor %}}"
        "{% if add_generation_prompt %}assistant:{% endif %}"
    )
    conversation = configured("chat_template", with_template(loaded, template))
    request = make_request("Why?")
    text = conversation.render(request)
    assert conversation.continuation(text, request, "red") == f" red{expected}"
    literal = configured("plain", with_template(loaded, template))
    assert literal.continuation("ASSISTANT:", request, "red") == " red</s>"


def test_an_option_of_a_literal_conversation_ends_as_a_text(loaded: LoadedModel) -> None:
    config = ConversationConfig(name="own", template="USER: {user} ASSISTANT:{prefill}")
    conversation = Conversation(config, loaded.processor)
    request = make_request("Why?")
    assert conversation.render(request) == "USER: Why? ASSISTANT:"
    assert conversation.continuation("USER: Why? ASSISTANT:", request, "red") == " red</s>"


@pytest.mark.slow
def test_the_checkpoints_own_chat_template(loaded: LoadedModel) -> None:
    assert (
        render("chat_template", loaded, make_request(VIDEO, "Why?"))
        == "USER: <video>\nWhy? ASSISTANT:"
    )
    assert render("chat_template", loaded, make_request("Why?")) == "USER: Why? ASSISTANT:"


@pytest.mark.slow
def test_vicuna_v1_to_the_letter(loaded: LoadedModel) -> None:
    assert (
        render("vicuna_v1", loaded, make_request(VIDEO, "Why?"))
        == f"{SYSTEM} USER: <video>\nWhy? ASSISTANT:"
    )


@pytest.mark.slow
def test_mistral_direct_to_the_letter(loaded: LoadedModel) -> None:
    assert render("mistral_direct", loaded, make_request(VIDEO, "Why?")) == (
        "<|im_start|>system\nAnswer the questions.<|im_end|><|im_start|>user\n<video>\nWhy?"
        "<|im_end|><|im_start|>assistant\n"
    )


@pytest.mark.slow
def test_a_protocols_system_text_and_prefill(loaded: LoadedModel) -> None:
    request = make_request(VIDEO, "Why?", system="Watch.\n", assistant_prefill="Best option:(")
    assert render("plain", loaded, request) == "Watch.\nUSER: <video>\nWhy? ASSISTANT:Best option:("
    assert render("chat_template", loaded, request).endswith("Best option:(")
    assert render("chat_template", loaded, request).count("Watch.") == 1


@pytest.mark.slow
def test_media_stay_where_the_protocol_puts_them(loaded: LoadedModel) -> None:
    request = make_request("First ", VIDEO, "then ", IMAGE, "why?")
    assert render("plain", loaded, request) == "USER: First <video>\nthen <image>\nwhy? ASSISTANT:"


@pytest.mark.slow
def test_a_text_that_holds_a_placeholder_is_refused(loaded: LoadedModel) -> None:
    for name in ("plain", "chat_template"):
        with pytest.raises(PromptError, match="sample q: its text holds '<image>'"):
            render(name, loaded, make_request(VIDEO, "What is <image>?"))


def with_template(loaded: LoadedModel, template: str | None) -> Any:
    processor = copy.copy(loaded.processor)
    processor.chat_template = template
    return processor


@pytest.mark.slow
@pytest.mark.parametrize(
    ("template", "request_", "parts"),
    [
        (
            DOUBLED_SYSTEM,
            make_request(VIDEO, "Why?", system="Watch."),
            ["2 times instead of once", "conversation=plain"],
        ),
        (
            "{% for m in messages %}<video>{% endfor %}",
            make_request(VIDEO, "Why?"),
            ["drops or changes", "'Why?'"],
        ),
        (
            "{{ raise_exception('roles must alternate') }}",
            make_request(VIDEO, "Why?"),
            ["sample q: the chat template refuses the turn: roles must alternate"],
        ),
    ],
)
def test_a_template_that_changes_the_prompt_is_refused(
    loaded: LoadedModel, template: str, request_: Request, parts: list[str]
) -> None:
    with pytest.raises(PromptError) as caught:
        configured("chat_template", with_template(loaded, template)).render(request_)
    for part in parts:
        assert part in str(caught.value)


def test_a_template_that_leaves_out_a_video_is_refused(loaded: LoadedModel) -> None:
    template = "{% for m in messages %}{{ m.content[-1].text }}{% endfor %}"
    config = ConversationConfig(name="chat_template", template=None)
    conversation = Conversation(config, with_template(loaded, template))
    with pytest.raises(PromptError, match=r"1 media need <video> .* renders it 0 times"):
        conversation.render(make_request(VIDEO, "Why?"))


@pytest.mark.slow
def test_a_date_in_prompts_is_told_once_and_one_that_is_not_shown_is_not(
    loaded: LoadedModel, caplog: pytest.LogCaptureFixture
) -> None:
    said = "{{ messages[0].content[-1].text }}"
    for shown, num_told in (
        ("{{ now }}", 1),
        ("", 0),
    ):  # Mistral Small 3.1, Llama 3.2 Vision
        template = f"{{% set now = strftime_now('on day %j') %}}{said}{shown}"
        conversation = configured("chat_template", with_template(loaded, template))
        caplog.clear()
        assert [conversation.render(make_request("Why?"))[:4] for _ in range(2)] == ["Why?"] * 2
        assert len(caplog.messages) == num_told
        assert all("time of asking into prompts ('on day " in text for text in caplog.messages)


#: As GLM-4.1V's: parts of the user's turn, whole contents of the others.
SYSTEM_AS_STRING = (
    "{% for m in messages %}<{{ m.role }}>{% if m.role == 'user' %}{% for c in m.content %}"
    "{% if c.type == 'text' %}{{ c.text }}{% else %}<video>{% endif %}{% endfor %}"
    "{% else %}{{ m.content|trim }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.mark.slow
def test_a_template_that_prints_contents_is_given_strings_for_them(loaded: LoadedModel) -> None:
    conversation = configured("chat_template", with_template(loaded, SYSTEM_AS_STRING))
    asked = make_request(VIDEO, "Why?", system="It's so.", assistant_prefill="Best option:(")
    expected = "<system>It's so.<user><video>Why?<assistant>Best option:("
    assert conversation.render(asked) == expected
    asked = make_request(VIDEO, "Why?", system="Watch.")
    assert conversation.render(asked) == "<system>Watch.<user><video>Why?<assistant>"
    of_strings = with_template(loaded, "{% for m in messages %}{{ m.content }}{% endfor %}")
    assert configured("chat_template", of_strings).render(make_request("So? ", "Why?")) == (
        "So? Why?"
    )


@pytest.mark.slow
def test_a_checkpoint_without_template_needs_a_literal_conversation(loaded: LoadedModel) -> None:
    with pytest.raises(CheckpointError, match="conversation=vicuna_v1"):
        configured("chat_template", with_template(loaded, None)).render(make_request("Why?"))


@pytest.mark.slow
def test_a_broken_template_is_a_mistake_of_the_checkpoint(loaded: LoadedModel) -> None:
    with pytest.raises(CheckpointError, match="chat template is broken, line 2"):
        configured("chat_template", with_template(loaded, "\n{% for %}")).render(
            make_request("Why?")
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        (
            "{% macro f(n) %}{% for i in range(9) %}{{ f(n - 1) if n }}{% endfor %}{% endmacro %}"
            "{{ f(30) }}"
        ),
        "{{ lipsum(n=99999999) }}",
    ],
)
def test_a_template_that_does_not_end_is_stopped(loaded: LoadedModel, template: str) -> None:
    tracer = sys.gettrace()
    with pytest.raises(CheckpointError, match=r"does not end .* 1,000,000 lines .*=plain"):
        configured("chat_template", with_template(loaded, template)).render(make_request("Why?"))
    assert sys.gettrace() is tracer


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems know no such limit")
@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 10**10 }}",
        "{{ [1] * 10**10 }}",
        "{{ 'a'.center(10**10) }}",
        "{% set n = namespace(x='a') %}{% for i in range(99) %}{% set n.x = n.x * 9 %}{% endfor %}",
    ],
)
def test_a_template_that_takes_all_memory_is_stopped(loaded: LoadedModel, template: str) -> None:
    limits = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(CheckpointError, match=r"chat template fails: MemoryError"):
        configured("chat_template", with_template(loaded, template)).render(make_request("Why?"))
    assert resource.getrlimit(resource.RLIMIT_AS) == limits


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems know no such limit")
def test_a_template_whose_one_operation_does_not_end_is_stopped(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template_limits, "_LIMIT_SECONDS", 1)  # of the processor, instead of 5
    with pytest.raises(CheckpointError, match=r"does not end .* 1 s.*=plain"):
        configured("chat_template", with_template(loaded, "{{ 9 ** (9 ** 9) }}")).render(
            make_request("Why?")
        )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems know no such limit")
def test_a_template_is_tried_once_for_each_form_of_a_turn(loaded: LoadedModel) -> None:
    template = (
        "{% if messages | length > 1 %}{{ messages[0].role * 10**10 }}{% endif %}"
        "{{ messages[-1].content[0].text }}"
    )
    conversation = configured("chat_template", with_template(loaded, template))
    assert conversation.render(make_request("Why?")) == "Why?"
    with pytest.raises(CheckpointError, match="more than 256 MiB"):
        conversation.render(dataclasses.replace(make_request("Why?"), system="Be brief."))


@pytest.mark.slow
def test_templates_by_name_without_a_default_are_told_by_transformers(loaded: LoadedModel) -> None:
    processor = with_template(loaded, None)
    processor.chat_template = {"rag": "{{ messages }}", "tool": "{{ messages }}"}
    with pytest.raises(CheckpointError, match=r"fails: ValueError: .* are: rag, tool; choose"):
        configured("chat_template", processor).render(make_request("Why?"))


@pytest.mark.slow
def test_conversations_around_one_processor_try_its_template_together(loaded: LoadedModel) -> None:
    ended: list[int] = []
    before = signal.signal(signal.SIGCHLD, lambda number, _: ended.append(number))
    try:
        processor = with_template(loaded, "{{ messages[-1].content[0].text }}")
        for _ in range(3):
            assert configured("chat_template", processor).render(make_request("Why?")) == "Why?"
        assert len(ended) == 1
        processor.chat_template = "{{ messages[-1].content[0].text }}{{ 'a' * 10**10 }}"
        with pytest.raises(CheckpointError, match=r"chat template fails: MemoryError"):
            configured("chat_template", processor).render(make_request("Why?"))
        assert len(ended) == 2
    finally:
        signal.signal(signal.SIGCHLD, before)


@pytest.mark.slow
def test_a_process_that_ignores_how_its_children_end_renders_templates(
    loaded: LoadedModel,
) -> None:
    new = with_template(loaded, loaded.processor.chat_template)  # tried by no other test
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # some supervisors start one so
    try:
        text = configured("chat_template", new).render(make_request("Why?"))
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert text == render("chat_template", loaded, make_request("Why?"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems know no such limit")
def test_a_constant_that_takes_all_memory_when_it_is_compiled_is_stopped(
    loaded: LoadedModel,
) -> None:
    template = "{% if false %}{{ 'a' * 10**10 }}{% endif %}{{ messages[0].content[0].text }}"
    with pytest.raises(CheckpointError, match=r"chat template fails: MemoryError"):
        configured("chat_template", with_template(loaded, template)).render(make_request("Why?"))


def test_a_processor_that_takes_no_text_alone_still_needs_placeholders(tmp_path: Path) -> None:
    FAMILIES["got_ocr2"].make(tmp_path)
    placeholders = Placeholders(AutoProcessor.from_pretrained(tmp_path))
    assert not placeholders.are_written(["image"])
    assert placeholders.token("image") == "<imgpad>"


@pytest.mark.parametrize(
    ("template", "part"),
    [("{system} {usr}", "usr"), ("{system} {", "'{'"), ("{system}", "no {user}")],
)
def test_a_bad_literal_template_is_a_mistake_of_the_configuration(template: str, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ConversationConfig("mine", template)
    assert part in str(caught.value)
