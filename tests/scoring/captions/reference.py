"""The reference: pycocoevalcap, for the two scripts beside this file and not for the tests.

Needs `pip install pycocoevalcap` and Java.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Sequence
from typing import Any

from tests.scoring.captions import adversarial

METRICS = ["bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider"]

Scores = dict[str, tuple[float, list[float]]]


def _load(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(f"pycocoevalcap.{module}"), name)


def tokenize_as_file(captions: Sequence[str]) -> list[str]:
    """One caption for each image, all in one file."""
    tokenizer = _load("tokenizer.ptbtokenizer.PTBTokenizer")()
    tokens = tokenizer.tokenize({i: [{"caption": text}] for i, text in enumerate(captions)})
    return [tokens[index][0] for index in range(len(captions))]


def tokenize_apart(captions: Sequence[str]) -> list[str]:
    """Each caption with the line "next" after it."""
    lines = [line for caption in captions for line in (caption, "next")]
    tokens = tokenize_as_file(lines)
    if set(tokens[1::2]) != {"next"}:
        raise ValueError("a caption has taken the line after it: is a tag in it not closed?")
    return tokens[::2]


def score(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
    """Corpus value and values of the samples, for each of `METRICS`."""
    targets = {i: [{"caption": text} for text in group] for i, group in enumerate(references)}
    results = {i: [{"caption": text}] for i, text in enumerate(hypotheses)}
    targets = _load("tokenizer.ptbtokenizer.PTBTokenizer")().tokenize(targets)
    results = _load("tokenizer.ptbtokenizer.PTBTokenizer")().tokenize(results)
    bleu, bleu_samples = _load("bleu.bleu.Bleu")(4).compute_score(targets, results, verbose=0)
    pairs = list(zip(bleu, bleu_samples, strict=True))
    pairs.append(_load("rouge.rouge.Rouge")().compute_score(targets, results))
    pairs.append(_load("cider.cider.Cider")().compute_score(targets, results))
    return {
        name: (float(corpus), [float(value) for value in samples])
        for name, (corpus, samples) in zip(METRICS, pairs, strict=True)
    }


def make_set(num_samples: int, max_references: int, seed: int) -> tuple[list[str], list[list[str]]]:
    """Hypotheses and 1 to `max_references` references: plain, hard, empty, equal and shuffled."""
    rng = random.Random(seed)
    subjects = ["man", "woman", "dog", "cat", "bus", "train", "child's bike", "U.S. flag"]

    def caption() -> str:
        if rng.random() < 0.2:
            kind = rng.choice(adversarial.KINDS)
            return adversarial.make_captions(kind, 1, rng.randrange(10**6))[0]
        article = rng.choice(["A", "The", "Two", "An"])
        middle = rng.choice(["riding a", "next to the", "in front of some", "isn't on a"])
        ending = rng.choice(["", ".", " .", "!", " at 20\u00b0C.", ", 1 1/2 m high"])
        return f"{article} {rng.choice(subjects)} {middle} {rng.choice(subjects)}{ending}"

    references = [
        [caption() for _ in range(rng.randint(1, max_references))] for _ in range(num_samples)
    ]
    hypotheses = []
    for group in references:
        words = rng.choice(group).split(" ")
        rng.shuffle(words)
        choices = [caption(), caption(), rng.choice(group), " ".join(words[:8]), ""]
        hypotheses.append(rng.choices(choices, weights=[4, 4, 2, 3, 1])[0])
    return hypotheses, references
