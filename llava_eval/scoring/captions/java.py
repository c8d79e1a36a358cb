"""METEOR and SPICE, which are Java programs that come with pycocoevalcap.

Nothing is put in their place: where Java, the package or its files are missing, there is no number,
and the reason stands beside it.
"""

from __future__ import annotations

import gzip
import importlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from llava_eval.borders.paths import package_folder
from llava_eval.errors import first_line
from llava_eval.scoring.captions.corpus import BLEU_COUNTS
from llava_eval.scoring.captions.ptb_tokenizer import tokenize_set
from llava_eval.scoring.reply import HAS_REASONING
from llava_eval.types import MetricValue, SampleResult

_PACKAGE = "pycocoevalcap"
_METEOR_JAR = Path("meteor") / "meteor-1.5.jar"
#: What pycocoevalcap would download otherwise.
_SPICE_FILES = (
    Path("spice") / "spice-1.0.jar",
    Path("spice") / "lib" / "stanford-corenlp-3.6.0.jar",
    Path("spice") / "lib" / "stanford-corenlp-3.6.0-models.jar",
)


def meteor(results: Sequence[SampleResult]) -> MetricValue:
    """Return METEOR 1.5 of a whole set times 100, as pycocoevalcap calls it.

    Statistics are added up over the set before the score is taken, so it is not the mean of the
    samples' values and has no standard error here.

    Args:
        results: results of the set or of one level of a facet; failed ones are left out.
    """
    return _measured(results, "METEOR", (_METEOR_JAR,), _meteor)


def spice(results: Sequence[SampleResult]) -> MetricValue:
    """Return the mean SPICE times 100, as pycocoevalcap calls it.

    Args:
        results: results of the set or of one level of a facet; failed ones are left out.
    """
    return _measured(results, "SPICE", _SPICE_FILES, _spice)


def _measured(
    results: Sequence[SampleResult],
    name: str,
    files: Sequence[Path],
    measure: Callable[[Sequence[str], Sequence[Sequence[str]]], float],
) -> MetricValue:
    kept = [item for item in results if item.generation.text is not None and item.target]
    if not kept:
        return MetricValue.none(0, "points")
    missing = _missing(files)
    if missing is not None:
        return MetricValue.none(len(kept), "points", f"not available: {missing}")
    texts = [_caption(item) for item in kept]
    captions, references = tokenize_set(texts, [item.target for item in kept])
    try:
        value = measure(captions, references)
    except (subprocess.CalledProcessError, OSError, ValueError) as error:
        note = f"not available: {name} failed: {first_line(error)}"
        return MetricValue.none(len(kept), "points", note)
    return MetricValue(100 * value, None, None, None, len(kept), "points")


def _caption(result: SampleResult) -> str:
    """Return the caption that its scorer scored: without reasoning if the protocol cuts it out.

    The answer that another rule reads may be a single word of the text, so it is not used.
    """
    details = result.score.details
    was_cut = HAS_REASONING in details and BLEU_COUNTS in details
    return str(result.score.answer if was_cut else result.generation.text)


def _missing(files: Sequence[Path]) -> str | None:
    """Return a message that says what is missing, or None."""
    if shutil.which("java") is None:
        return "there is no Java"
    folder = package_folder(_PACKAGE)
    if folder is None:
        return f"{_PACKAGE} is not installed (llava-eval[caption])"
    absent = [path.name for path in files if not (folder / path).is_file()]
    return f"{_PACKAGE} lacks {', '.join(absent)}" if absent else None


def _meteor(captions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    lines = [
        " ||| ".join(("SCORE", *texts, caption.replace("|||", "").replace("  ", " ")))
        for caption, texts in zip(captions, references, strict=True)
    ]
    statistics = _run_meteor(lines, len(lines))
    with tempfile.NamedTemporaryFile(suffix=".gz") as empty:
        # To add up statistics no table of paraphrases is needed; loading it takes six seconds.
        Path(empty.name).write_bytes(gzip.compress(b""))
        evaluated = [" ||| ".join(("EVAL", *statistics))]
        # One line per sample comes back, and the score of the set last.
        scores = _run_meteor(evaluated, len(lines) + 1, "-a", empty.name)
    return float(scores[-1])


def _run_meteor(lines: Sequence[str], num_answers: int, *options: str) -> list[str]:
    folder = package_folder(_PACKAGE)
    assert folder is not None
    jar = folder / _METEOR_JAR
    command = ["java", "-jar", "-Xmx2G", jar.name, "-", "-", "-stdio", "-l", "en", "-norm"]
    done = subprocess.run(
        [*command, *options],
        input="".join(f"{line}\n" for line in lines).encode(),
        cwd=jar.parent,
        capture_output=True,
        check=False,
    )
    answers = done.stdout.decode(errors="replace").splitlines()
    if done.returncode != 0 or len(answers) != num_answers:
        message = done.stderr.decode(errors="replace").strip() or f"{len(answers)} answers"
        raise ValueError(message)
    return answers


def _spice(captions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    module = importlib.import_module(f"{_PACKAGE}.spice.spice")
    by_number = {number: list(texts) for number, texts in enumerate(references)}
    hypotheses = {number: [caption] for number, caption in enumerate(captions)}
    return float(module.Spice().compute_score(by_number, hypotheses)[0])
