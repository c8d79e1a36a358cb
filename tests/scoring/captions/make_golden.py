"""Write `golden.json.xz`: captions and sets, and what the reference makes of them.

Run by hand, from the top folder, where pycocoevalcap and Java are:

    python -m tests.scoring.captions.make_golden

The file holds
    "apart": kind -> list of [caption, tokens], each caption with the line "next" after it;
    "file": captions and their tokens as one file;
    "sets": hypotheses, references, and metric -> [corpus value, values of the samples].
"""

from __future__ import annotations

import json
import lzma
import random
from pathlib import Path

from tests.scoring.captions import adversarial, reference

GOLDEN = Path(__file__).with_name("golden.json.xz")
NUM_CAPTIONS = 300  # of each kind
# samples, most references
SETS = [(1, 1), (1, 5), (2, 3), (5, 20), (20, 5), (200, 5)]


def main() -> None:
    apart = {kind: adversarial.make_captions(kind, NUM_CAPTIONS) for kind in adversarial.KINDS}
    captions = [caption for group in apart.values() for caption in [*group[:100], ""]]
    random.Random(0).shuffle(captions)
    sets = [reference.make_set(*size, seed=seed) for seed, size in enumerate(SETS)]
    golden = {
        "apart": {
            kind: list(zip(group, reference.tokenize_apart(group), strict=True))
            for kind, group in apart.items()
        },
        "file": {"captions": captions, "tokens": reference.tokenize_as_file(captions)},
        "sets": [
            {
                "hypotheses": hypotheses,
                "references": references,
                "scores": reference.score(hypotheses, references),
            }
            for hypotheses, references in sets
        ],
    }
    text = json.dumps(golden, ensure_ascii=False).encode("utf-8")
    GOLDEN.write_bytes(lzma.compress(text, preset=9))
    print(f"{GOLDEN}: {GOLDEN.stat().st_size} bytes")  # noqa: T201


if __name__ == "__main__":
    main()
