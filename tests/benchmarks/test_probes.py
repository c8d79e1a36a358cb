"""Probes: what they take away or change, on samples as protocols write them."""

from __future__ import annotations

import pytest

from llava_eval.benchmarks.load import read_samples
from llava_eval.benchmarks.probes import NONE_OF_THE_ABOVE, probed_sampler, probed_samples
from llava_eval.config.build import build_target
from llava_eval.config.choices import list_choices
from llava_eval.config.compose import compose_config
from llava_eval.config.schema import PROBES
from llava_eval.engine.batches import media_groups
from llava_eval.errors import ConfigError
from llava_eval.types import Media, Sample, VideoInfo
from tests.conftest import slow

VIDEO = VideoInfo("/videos/a.mp4", 100, 10.0, 10.0, 8, 8, "h264")
CHOICES = ("a cat", "a dog", "both", "no animal (at all)")


def sample(prompt: str, **changes: object) -> Sample:
    fields: dict[str, object] = {
        "id": "1-1",
        "row": 0,
        "group": "1",
        "content": (Media("video", "1.mp4"), prompt),
        "targets": ("B",),
        "choices": CHOICES,
        "question": "Is it a cat or a dog?",
        **changes,
    }
    return Sample(**fields)  # type: ignore[arg-type]


def written(form: str, separator: str, texts: tuple[str, ...]) -> str:
    return separator.join(
        form.format(letter, text) for letter, text in zip("ABCD", texts, strict=True)
    )


FORMS = [("{}. {}", "\n"), ("({}) {}", "\n"), ("{}: {}", " "), ("({}) {}", ", ")]


@pytest.mark.parametrize(("form", "separator"), FORMS)
def test_options_change_their_letters_and_the_right_one_stays_right(
    form: str, separator: str
) -> None:
    around = "Is it a cat or a dog?\n{}\nAnswer with the letter of both, A, or a dog."
    asked = sample(around.format(written(form, separator, CHOICES)))
    (probed,) = probed_samples([asked], "shuffled_options")
    assert sorted(probed.choices) == sorted(CHOICES)
    assert probed.choices != CHOICES
    (letter,) = probed.targets
    assert probed.choices["ABCD".index(letter)] == "a dog"
    assert probed.prompt == around.format(written(form, separator, probed.choices))
    assert probed_samples([asked], "shuffled_options") == [probed]


@pytest.mark.parametrize(("form", "separator"), FORMS)
def test_the_right_option_says_that_there_is_none(form: str, separator: str) -> None:
    asked = sample(f"Which?\n{written(form, separator, CHOICES)}\nAnswer:")
    (probed,) = probed_samples([asked], "none_of_the_above")
    assert probed.choices == ("a cat", NONE_OF_THE_ABOVE, "both", "no animal (at all)")
    assert probed.targets == ("B",)
    assert probed.prompt == f"Which?\n{written(form, separator, probed.choices)}\nAnswer:"


@pytest.mark.parametrize("texts", [(" a cat", "a dog ", "both", "x\t"), ("", "a dog", "both", "")])
def test_options_with_white_space_around_them(texts: tuple[str, ...]) -> None:
    """MLVU's; its protocol strips the end of the last one, where one is empty its mark's too."""
    listed = written("({}) {}", "\n", texts).rstrip()
    asked = sample(f"Which?\n{listed}\nAnswer.", choices=texts, targets=("@",))
    (probed,) = probed_samples([asked], "none_of_the_above")
    assert probed.prompt == f"Which?\n{written('({}) {}', chr(10), texts)}\nAnswer."
    (probed,) = probed_samples([asked], "shuffled_options")
    assert probed.prompt == f"Which?\n{written('({}) {}', chr(10), probed.choices)}\nAnswer."
    assert (sorted(probed.choices), probed.targets) == (sorted(texts), ("@",))


@pytest.mark.parametrize("probe", ["shuffled_options", "none_of_the_above"])
def test_a_bare_question_that_lists_its_options_says_the_same_as_the_prompt(probe: str) -> None:
    question = f"Which?\n{written('({}) {}', chr(10), CHOICES)}"
    listed = written("{}. {}", "\n", CHOICES)
    (probed,) = probed_samples([sample(f"Which?\n{listed}", question=question)], probe)
    assert probed.choices != CHOICES
    assert probed.question == f"Which?\n{written('({}) {}', chr(10), probed.choices)}"
    assert probed.prompt == f"Which?\n{written('{}. {}', chr(10), probed.choices)}"


@pytest.mark.parametrize("probe", ["shuffled_options", "none_of_the_above"])
@pytest.mark.parametrize("prompt", ["Which animal?", "A. a cat\nB. a dog", "a cat, a dog, both"])
def test_a_question_whose_options_are_not_listed_is_refused(probe: str, prompt: str) -> None:
    with pytest.raises(ConfigError, match=f"probe={probe}: the options of sample 1-1 do not stand"):
        probed_samples([sample(prompt)], probe)


@pytest.mark.parametrize("target", ["B", "B.a dog"])
@pytest.mark.parametrize("probe", ["shuffled_options", "none_of_the_above"])
def test_options_that_hold_their_letters_get_those_of_their_new_places(
    probe: str, target: str
) -> None:
    """TempCompass's and EgoSchema's; a few lack a space, or have one more."""
    own = ("A. a cat", "B.a dog", "C. both", " D. none")
    asked = sample("Which?\n" + "\n".join(own), choices=own, targets=(target,), question="Which?")
    (probed,) = probed_samples([asked], probe)
    heads = ("A. ", "B.", "C. ", " D. ")
    texts = [text.removeprefix(head) for text, head in zip(probed.choices, heads, strict=True)]
    right = NONE_OF_THE_ABOVE if probe == "none_of_the_above" else "a dog"
    letter = "ABCD"[texts.index(right)]
    assert sorted(texts) == sorted(["a cat", right, "both", "none"])
    assert [*probed.choices] == [head + text for head, text in zip(heads, texts, strict=True)]
    assert probed.prompt == "Which?\n" + "\n".join(probed.choices)
    assert probed.targets == (letter if target == "B" else probed.choices["ABCD".index(letter)],)


def test_an_open_question_among_others_is_told_with_what_tells_it_apart() -> None:
    asked = sample("Which?", choices=(), facets={"question_type": "open-ended"})
    with pytest.raises(ConfigError, match=r"benchmark\.where .*question_type=open-ended"):
        probed_samples([asked], "shuffled_options")


def test_a_blind_question_has_no_media_and_no_group_with_others() -> None:
    samples = [sample("Which?", id=name) for name in ("1-1", "1-2")]
    blind = probed_samples(samples, "blind")
    assert [one.content for one in blind] == [("Which?",)] * 2
    assert [one.group for one in blind] == ["1", "1"]
    assert len(media_groups(samples)) == 1
    assert len(media_groups(blind)) == 2


def frames(probe: str | None, info: VideoInfo = VIDEO) -> tuple[int, ...]:
    return tuple(probed_sampler(lambda _: (0, 20, 40, 60, 80, 99), probe)(info))


def test_frames_are_the_same_in_another_order() -> None:
    assert frames(None) == frames("blind") == (0, 20, 40, 60, 80, 99)
    assert frames("reversed") == (99, 80, 60, 40, 20, 0)
    assert frames("one_frame") == (60,)
    shuffled = frames("shuffled_frames")
    assert sorted(shuffled) == [0, 20, 40, 60, 80, 99]
    assert shuffled != (0, 20, 40, 60, 80, 99)
    elsewhere = VideoInfo("/other/a.mp4", 100, 10.0, 10.0, 8, 8, "h264")
    assert frames("shuffled_frames", elsewhere) == shuffled


def test_one_frame_that_repeats_has_no_other_order() -> None:
    sampler = probed_sampler(lambda _: (7, 7, 7), "shuffled_frames")
    assert sampler(VIDEO) == (7, 7, 7)
    assert probed_sampler(lambda _: (3, 9), "shuffled_frames")(VIDEO) == (9, 3)


@pytest.mark.slow
def test_every_probe_is_an_option_and_stands_beside_the_name() -> None:
    assert set(list_choices("probe")) == {"none", *PROBES}
    composed = compose_config(["probe=blind", "benchmark=videomme/official"])
    assert composed.benchmark_overrides == {"probe": "blind"}
    assert compose_config([]).benchmark_overrides == {}


@pytest.mark.slow
@pytest.mark.parametrize("probe", [slow("shuffled_options"), "none_of_the_above"])
def test_the_embedded_questions_can_all_be_asked_so(probe: str) -> None:
    config = compose_config([f"probe={probe}"]).config.benchmark
    adapter = build_target(config.adapter, key="benchmark.adapter")
    samples = read_samples(config, adapter)
    assert len(samples) == 270
    assert all(one.choices["ABCD".index(one.targets[0])] in one.prompt for one in samples)
