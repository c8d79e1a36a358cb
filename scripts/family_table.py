"""Make the README's table of model families from tiny checkpoints that are asked here.

python scripts/family_table.py                    # print it
python scripts/family_table.py --write            # and put it between the markers in README.md
python scripts/family_table.py llama4 --write     # ask one; the others keep their rows
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from llava_eval.config.schema import ConversationConfig, ModelConfig
from llava_eval.models.local.checkpoint import find_checkpoint
from llava_eval.models.local.model import load_model
from llava_eval.models.local.plan import plan_checkpoint
from llava_eval.models.local.runner import ModelRunner
from llava_eval.types import Clip, GenerationSettings, MediaKind, Request
from tests.models.families import FAMILIES, Family
from tests.models.families.plain import image, video

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- families: scripts/family_table.py -->", "<!-- end of families -->"
CHAT = ConversationConfig("chat_template")
PLAIN = ConversationConfig("plain", "{system}USER: {user} ASSISTANT:{prefill}")
QUESTIONS = ("What?", "Whose", "What is it?")

#: What the paths of the runner mean for a reader.
TOGETHER = {
    "padded": "any",
    "equal length": "of equal length",
    "at a time": "one at a time",
}


def main() -> None:
    """Print the table, or write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("families", nargs="*", help="those to ask; all, where none is named")
    parser.add_argument("--write", action="store_true", help="put it into README.md")
    arguments = parser.parse_args()
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    old, _, after = rest.partition(END)
    kept: dict[str, list[str]] = {}
    for names, *cells in (line.strip("| ").split(" | ") for line in old.strip().splitlines()[2:]):
        kept |= {name: [name, *cells] for name in names.split(", ")}
    text = table(
        [
            row(family) if name in (arguments.families or FAMILIES) else kept[name]
            for name, family in sorted(FAMILIES.items())
        ]
    )
    print(text)
    if arguments.write:
        readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def row(family: Family) -> list[str]:
    """Return a family's cells."""
    with tempfile.TemporaryDirectory() as folder:
        family.make(Path(folder))
        loaded = load_model(plan_checkpoint(find_checkpoint(folder), ModelConfig(device="cpu")))
        conversation = CHAT if family.has_template else PLAIN
        paths = {
            medium[0]: path_of(ModelRunner(loaded, conversation), medium)
            for medium, most in ((image(1), family.images), (video(1), family.videos))
            if most
        }
    shared = {path.startswith("shared") for path in paths.values()}
    together = {
        words
        for path in paths.values()
        for rule, words in TOGETHER.items()
        if rule in path.partition(":")[0]
    }
    return [
        family.name,
        _how_many(family.images),
        _how_many(family.videos),
        "yes" if shared == {True} else "no, whole prompts",
        ", ".join(sorted(together)),
    ]


def path_of(runner: ModelRunner, shown: tuple[MediaKind, Clip]) -> str:
    """Return how the runner asks questions about one medium, two of them of equal length."""
    medium = runner.prepare(*shown)
    settings = GenerationSettings(max_new_tokens=2)
    requests = [Request(text, (medium, text), settings) for text in QUESTIONS]
    for request, generation in runner.generate(requests):
        if generation.error is not None:
            raise SystemExit(f"{runner.loaded.name}: {request.id}: {generation.error}")
    (path,) = runner.settings()["prompts_asked_as"].values()
    return str(path)


def _how_many(most: int) -> str:
    return {0: "no", 1: "one"}.get(most, "several")


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, families that are asked alike in one row."""
    head = ["families", "images", "videos", "shared prefixes", "questions together"]
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, *cells in rows:
        alike.setdefault(tuple(cells), []).append(name)
    grouped = ([", ".join(names), *cells] for cells, names in alike.items())
    lines = [head, ["---"] * len(head), *grouped]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
