"""Probes: ask the same questions with a part removed or changed, to see what answers depend on.

* ``blind``: no media. Accuracy above chance comes from the question alone.
* ``one_frame``: only the middle frame. Accuracy that remains needs no time.
* ``shuffled_frames``, ``reversed``: the frames in another order. What remains needs no order.
* ``shuffled_options``: the options in another order. What changes depends on their letters.
* ``none_of_the_above``: the right option's text becomes "None of the above". A model that still
  chooses another option picks the likeliest one, and does not know the answer.

Every probe is derived only from names (the sample's id, the video's file name), so it is the same
on every machine.
"""

from __future__ import annotations

import dataclasses
import hashlib
import random
import re
import string
from collections.abc import Callable, Sequence
from pathlib import PurePath

from llava_eval.errors import ConfigError
from llava_eval.types import Sample, VideoInfo

NONE_OF_THE_ABOVE = "None of the above"

_Sampler = Callable[[VideoInfo], Sequence[int]]
_Change = Callable[[Sample], Sample]


def probed_samples(samples: Sequence[Sample], probe: str | None) -> list[Sample]:
    """Return a benchmark's samples as a probe changes them.

    Args:
        samples: the benchmark's samples.
        probe: its name; None leaves them unchanged.

    Raises:
        ConfigError: the probe cannot be applied to a sample.
    """
    if probe == "blind":
        return [_blind(sample) for sample in samples]
    if probe == "shuffled_options":
        return [_with_options(sample, probe, _shuffled_options) for sample in samples]
    if probe == "none_of_the_above":
        return [_with_options(sample, probe, _without_right_option) for sample in samples]
    return list(samples)


def probed_sampler(sampler: _Sampler, probe: str | None) -> _Sampler:
    """Return a sampler whose frames are changed as a probe requires.

    Args:
        sampler: chooses the frames of a video.
        probe: its name; None leaves them unchanged.
    """
    changes: dict[str | None, Callable[[str, list[int]], list[int]]] = {
        "one_frame": lambda _, frames: [frames[len(frames) // 2]],
        "reversed": lambda _, frames: frames[::-1],
        "shuffled_frames": _shuffled,
    }
    change = changes.get(probe)
    if change is None:
        return sampler

    def changed(info: VideoInfo) -> Sequence[int]:
        return tuple(change(PurePath(info.path).name, list(sampler(info))))

    return changed


def _shuffled(name: str, items: list[int]) -> list[int]:
    """Return items in an order that is seeded by a name and differs from theirs, if one does."""
    seed = hashlib.sha256(name.encode(errors="surrogatepass")).digest()
    generator = random.Random(seed)
    order = list(items)
    while order == items and len(set(items)) > 1:
        generator.shuffle(order)
    return order


def _blind(sample: Sample) -> Sample:
    """Return a sample without media, and without the parts that depend on their frames."""
    content = tuple(piece for piece in sample.content if isinstance(piece, str))
    if not content:
        raise ConfigError(f"probe=blind: sample {sample.id} has no text to ask")
    return dataclasses.replace(sample, content=content)


def _shuffled_options(sample: Sample) -> Sample:
    order = _shuffled(sample.id, list(range(len(sample.choices))))
    letters = string.ascii_uppercase
    targets = tuple(letters[order.index(letters.index(letter))] for letter in _letters(sample))
    choices = tuple(sample.choices[index] for index in order)
    return dataclasses.replace(sample, choices=choices, targets=targets or sample.targets)


def _without_right_option(sample: Sample) -> Sample:
    right = {string.ascii_uppercase.index(letter) for letter in _letters(sample)}
    choices = (NONE_OF_THE_ABOVE if n in right else text for n, text in enumerate(sample.choices))
    return dataclasses.replace(sample, choices=tuple(choices))


def _letters(sample: Sample) -> Sequence[str]:
    letters = string.ascii_uppercase[: len(sample.choices)]
    return [target for target in sample.targets if len(target) == 1 and target in letters]


def _with_options(sample: Sample, probe: str, change: _Change) -> Sample:
    """Apply a change to a sample, and write its new options after the letters in its prompt.

    Raises:
        ConfigError: the prompt does not contain the sample's options, each after its letter.
    """
    pattern = _listed(sample.choices)
    pieces = () if sample.options else sample.content
    if any(pattern.search(piece) for piece in pieces if isinstance(piece, str)):
        changed = change(sample)
        return _rewritten(changed, lambda text: _relisted(text, pattern, changed.choices))
    pairs = zip(string.ascii_uppercase, sample.choices, strict=False)
    matches = [re.match(rf"\s*{letter}\W\s*", choice) for letter, choice in pairs]
    heads = [match[0] for match in matches if match is not None]
    are_lettered = bool(heads) and len(heads) == len(sample.choices)
    if not are_lettered or "\n".join(sample.choices) not in sample.prompt:
        facets = ", ".join(f"{facet}={level}" for facet, level in sample.facets.items())
        raise ConfigError(
            f"probe={probe}: the options of sample {sample.id} do not stand in its prompt, each "
            f"after its letter; benchmark.where asks others alone (its facets: {facets or 'none'})"
        )
    return _with_lettered_options(sample, heads, change)


def _with_lettered_options(sample: Sample, heads: Sequence[str], change: _Change) -> Sample:
    """Change a sample whose options, and perhaps answers, begin with ``heads`` ("A. ")."""
    letters, listed = string.ascii_uppercase[: len(heads)], "\n".join(sample.choices)
    letter_of = dict(zip(sample.choices, letters, strict=True))
    texts = [text.removeprefix(head) for text, head in zip(sample.choices, heads, strict=True)]
    targets = tuple(letter_of.get(target, target) for target in sample.targets)
    changed = change(dataclasses.replace(sample, choices=tuple(texts), targets=targets))
    choices = tuple(head + text for head, text in zip(heads, changed.choices, strict=True))
    option_of = dict(zip(letters, choices, strict=True)) if targets != sample.targets else {}
    targets = tuple(option_of.get(target, target) for target in changed.targets)
    changed = dataclasses.replace(changed, choices=choices, targets=targets)
    return _rewritten(changed, lambda text: text.replace(listed, "\n".join(choices)))


def _rewritten(sample: Sample, rewrite: Callable[[str], str]) -> Sample:
    """Return a sample with rewritten texts, including the bare question, which judges read."""
    content = tuple(rewrite(item) if isinstance(item, str) else item for item in sample.content)
    return dataclasses.replace(sample, content=content, question=rewrite(sample.question))


def _relisted(text: str, pattern: re.Pattern[str], choices: Sequence[str]) -> str:
    """Return a text with other options after its letters; unchanged if it lists no options."""
    match = pattern.search(text)
    if match is None:
        return text
    written = [
        f"{letter}{match['mark']}{choice}"
        for letter, choice in zip(string.ascii_uppercase, choices, strict=False)
    ]
    listed = (match["gap"] or "").join(written)
    return f"{text[: match.start()]}{listed}{text[match.end() :]}"


def _listed(choices: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern that finds options in a prompt: "A. x B. y", "(A) x, (B) y" and the like.

    The mark after each letter, and the text between two options, must be the same throughout.
    """
    if len(choices) < 2:
        return re.compile("(?!)")
    first, second, *others = map(_around, choices)
    rest = "".join(
        f"(?P=gap){letter}(?P=mark){text}"
        for letter, text in zip(string.ascii_uppercase[2:], others, strict=False)
    )
    if others and not choices[-1].strip():  # a protocol may strip white space at the end
        rest = rest.removesuffix(f"(?P=mark){others[-1]}") + r"\W"
    head = rf"(?<!\w)A(?P<mark>\W{{1,4}}){first}"
    return re.compile(rf"{head}(?P<gap>\W{{1,8}})B(?P=mark){second}{rest}")


def _around(choice: str) -> str:
    """Return a pattern that finds an option with or without the white space around it."""
    text = choice.strip()
    before, _, after = choice.partition(text) if text else (choice, "", "")
    return f"(?:{re.escape(before)})?{re.escape(text)}(?:{re.escape(after)})?"
