"""Count where tokens and values differ from the reference's, and write `agreement.md`.

Run by hand, from the top folder, where pycocoevalcap and Java are; each text file holds one
caption a line:

    python -m tests.scoring.captions.check_agreement --texts FILE... [--count 10000]
"""

from __future__ import annotations

import argparse
import datetime
import random
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from llava_eval.scoring.captions.ptb_tokenizer import tokenize
from tests.scoring.captions import adversarial, reference
from tests.scoring.captions.test_scores import values_of

# samples, most references
SETS = {(1, 5): 10, (2, 20): 10, (5, 20): 20, (500, 20): 4, (5000, 5): 1, (5000, 20): 1}  # how many
_DELIBERATE = re.compile("[\r\v\f\u2028\u2029]|<[A-Za-z][^>]*=\\s*(?:'[^']*|\"[^\"]*)$")


def differences(captions: Sequence[str], *, as_file: bool) -> list[tuple[str, str, str]]:
    """(caption, reference's tokens, ours) where the two differ."""
    if as_file:
        expected, got = reference.tokenize_as_file(captions), tokenize(captions)
    else:
        expected = reference.tokenize_apart(captions)
        got = [tokenize([caption, "next"])[0] for caption in captions]
    return [
        (caption, theirs, ours)
        for caption, theirs, ours in zip(captions, expected, got, strict=True)
        if theirs != ours
    ]


def largest_deviation(hypotheses: list[str], references: list[list[str]]) -> tuple[float, float]:
    """Of the corpus values and of the samples' values, over all metrics."""
    scores = values_of(hypotheses, references)
    corpus, samples = 0.0, 0.0
    for name, (value, values) in reference.score(hypotheses, references).items():
        corpus = max(corpus, abs(scores[name][0] - value))
        deviation = np.max(np.abs(scores[name][1] - np.array(values)))
        samples = max(samples, float(deviation))
    return corpus, samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", nargs="*", type=Path, default=[])
    parser.add_argument("--count", type=int, default=10_000, help="captions of each kind")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rows: list[str] = []
    found: list[tuple[str, str, str]] = []

    def add(name: str, captions: list[str], *, as_file: bool) -> None:
        different = differences(captions, as_file=as_file)
        found.extend(different)
        mode = "one file" if as_file else "apart"
        share = 100 * (1 - len(different) / len(captions))
        rows.append(f"| {name} | {mode} | {len(captions):,} | {len(different)} | {share:.4f} |")

    everything: list[str] = []
    for path in arguments.texts:
        lines = [line for line in path.read_text("utf-8").split("\n") if line]
        lines = [line for line in lines if not _DELIBERATE.search(line)]
        everything += lines
        add(f"text: {path.stem}", lines, as_file=True)
    for kind in adversarial.KINDS:
        captions = adversarial.make_captions(kind, arguments.count, arguments.seed)
        everything += captions
        add(f"made: {kind}", captions, as_file=False)
    random.Random(arguments.seed).shuffle(everything)
    add("all of these, shuffled", everything, as_file=True)

    values = []
    for size, number in SETS.items():
        deviations = [
            largest_deviation(*reference.make_set(*size, seed=seed)) for seed in range(number)
        ]
        corpus, samples = np.max(deviations, axis=0)
        values.append(f"| {number} | {size[0]:,} | 1 to {size[1]} | {corpus:.1e} | {samples:.1e} |")
    made = (
        "Made by `check_agreement.py` beside this file, "
        f"{datetime.datetime.now(datetime.UTC).date().isoformat()}. Captions whose tokens differ; "
        "the two deliberate differences (line breaks inside a caption, unclosed tags) are left out."
    )
    page = [
        "# Agreement of the caption metrics with pycocoevalcap 1.2",
        "",
        made,
        "",
        "| captions | tokenized | number | different | agreement (%) |",
        "|---|---|---|---|---|",
        *rows,
        "",
        *(f"* `{caption!r}`: {theirs!r}, ours {ours!r}" for caption, theirs, ours in found[:50]),
        "",
        "Largest deviation of a value, over BLEU-1..4, ROUGE-L and CIDEr, of generated sets:",
        "",
        "| sets | samples | references each | corpus values | samples' values |",
        "|---|---|---|---|---|",
        *values,
    ]
    Path(__file__).with_name("agreement.md").write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
