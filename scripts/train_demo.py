"""Make the embedded benchmarks and checkpoint: videos, rows, tokenizer, weights.

    python scripts/train_demo.py [--output llava_eval/demo] [--steps N]

Everything is drawn from one seed. Files appear in the output folder when training has ended; the
log of the training (`training.jsonl`) and the state from which a stopped training goes on are in
the work folder. With another number of threads or
another version of torch the weights differ in the last digits and the scores by a few answers.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from demo import benchmarks, captions, prompts, runtime
from demo.batches import draw_tasks
from demo.model import MAX_POSITIONS, build_model, build_processor
from demo.tokenizer import load_tokenizer, train_tokenizer
from demo.training import TrainingPlan, train
from demo.videos import encode_scene
from demo.world import COLORS, DIRECTIONS, SETTINGS, SHAPES, Scene, sample_scene

TEST_SEED: Final = 20261
VIDEOS_PER_DURATION: Final = 30
STEPS: Final = 7000
TOKENIZER_TEXTS: Final = 4000


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("llava_eval/demo"))
    parser.add_argument("--work", type=Path, default=Path("/tmp/train_demo"))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_benchmarks(videos: Sequence[benchmarks.AskedScene], folder: Path) -> None:
    """The three files of rows and the videos themselves."""
    write_rows(folder / "multiple_choice.jsonl", benchmarks.multiple_choice_rows(videos))
    write_rows(folder / "open_ended.jsonl", benchmarks.open_ended_rows(videos))
    write_rows(folder / "captions.jsonl", benchmarks.caption_rows(videos))
    shutil.rmtree(folder / "videos", ignore_errors=True)
    (folder / "videos").mkdir(parents=True)
    for video in videos:
        encode_scene(video.scene, folder / "videos" / f"{video.stem}.mp4")


def tokenizer_texts(seed: int) -> Iterator[str]:
    """What the merges are learnt from: all prompts and replies, and each name many times."""
    rng = random.Random(seed)
    for _ in range(TOKENIZER_TEXTS):
        scene = sample_scene(rng)
        chat = prompts.conversation(rng)
        yield chat.before
        for task in draw_tasks(scene, chat, rng, simple=rng.random() < 0.3):
            yield task.text
            yield task.reply
        yield captions.transcript(scene)
        names = [setting.name for setting in SETTINGS]
        yield " ".join(["", *COLORS, *SHAPES, *DIRECTIONS, *names, "yes", "no"])


def exclude(videos: Sequence[benchmarks.AskedScene]) -> Callable[[Scene], bool]:
    """Whether a scene is, but for its geometry, one of the test videos."""
    plots = {video.scene.plot for video in videos}
    return lambda scene: scene.plot in plots


def main() -> None:
    options = arguments()
    runtime.prepare(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    videos = benchmarks.draw_test_set(TEST_SEED, VIDEOS_PER_DURATION)
    checkpoint = options.work / "checkpoint"
    if not checkpoint.exists():
        tokenizer = train_tokenizer(tokenizer_texts(TEST_SEED), MAX_POSITIONS)
        build_processor(tokenizer).save_pretrained(checkpoint)
    tokenizer = load_tokenizer(checkpoint)
    model = build_model(tokenizer, seed=0)
    print(f"{sum(weight.numel() for weight in model.parameters()):,} parameters", flush=True)
    train(
        model,
        tokenizer,
        TrainingPlan(steps=options.steps),
        exclude(videos),
        options.device,
        options.work,
    )
    model.set_attn_implementation("sdpa")
    model.cpu().half().save_pretrained(checkpoint)
    options.output.mkdir(parents=True, exist_ok=True)
    write_benchmarks(videos, options.output)
    shutil.copytree(checkpoint, options.output / "checkpoint", dirs_exist_ok=True)


if __name__ == "__main__":
    main()
