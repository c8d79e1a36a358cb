"""One sample of a run: its frames and prompt, the model's text, and each rule's reading of it."""

from __future__ import annotations

import argparse
import base64
import dataclasses
import io
import itertools
import math
import os
import string
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llava_eval.commands.dry_run import Asked, asked_of
from llava_eval.config.choices import suggest
from llava_eval.config.compose import composed_of
from llava_eval.engine.configured_benchmark import Benchmark
from llava_eval.engine.console import say
from llava_eval.errors import ComparisonError, LlavaEvalError
from llava_eval.models.clock import StageClock
from llava_eval.results.explain.rules import Reading, readings
from llava_eval.results.files import write_output
from llava_eval.results.formatting import (
    count,
    print_json,
    printable,
    terminal_width,
    wrapped,
    write_out,
)
from llava_eval.results.runs import RunReader
from llava_eval.types import Clip, Generation, SampleResult

if TYPE_CHECKING:
    from PIL.Image import Image

#: Frames in one row of a contact sheet, and the largest width of a frame in pixels.
_COLUMNS, _FRAME_WIDTH = 4, 320
#: Bytes of base64 in one chunk of kitty's graphics protocol, at most.
_KITTY_CHUNK = 4096


def show(arguments: argparse.Namespace) -> int:
    """Run the command ``show`` and return its exit code."""
    out, as_json, config_dir = arguments.out, arguments.json, arguments.config_dir
    run = RunReader(config_dir).read(arguments.run)
    result = next((item for item in run.results if item.id == arguments.id), None)
    if result is None:
        meant = suggest(arguments.id, [item.id for item in run.results])
        raise ComparisonError(f"{run.name} holds no sample {arguments.id!r}{meant}")
    by_rule = []
    if result.generation.error is None:
        by_rule = readings(dataclasses.replace(run, results=[result]), config_dir)
    asked: Asked | None = None
    reason = ""
    try:
        benchmark = Benchmark.read(composed_of(run.config), StageClock())
        asked = asked_of(benchmark.part([result.id]))
    except LlavaEvalError as error:
        reason = str(error)
    clips = [] if asked is None else list(asked.media.values())
    if as_json:
        print_json(_content(result, by_rule, asked))
    else:
        write_out(_text(result, by_rule, asked, reason))
    if out is not None and not clips:
        say(f"{out} is not written: {reason or 'the sample shows no frames'}")
    elif out is not None:
        write_output(out, _png(contact_sheet(clips)))
        if not as_json:
            write_out(f"frames: {printable(str(out))}")
    elif clips and not as_json:
        drawn = _drawn_in_terminal(_png(contact_sheet(clips)))
        write_out(drawn or "frames: --out FILE.png writes them")
    return 0


def _text(
    result: SampleResult, by_rule: Sequence[Reading], asked: Asked | None, reason: str
) -> str:
    width = terminal_width()
    facets = ", ".join(f"{facet} {level}" for facet, level in result.facets.items())
    title = f"sample {result.id}, row {result.row}, group {result.group}"
    lines = [f"{title} ({facets})" if facets else title]
    if asked is None:
        lines += [f"media {', '.join(result.media)}, frames {result.frame_indices}"]
        lines += ["", "its prompt", *(f"  {line}" for line in result.prompt.splitlines())]
        lines += [f"(not made again: {reason})"]
    else:
        lines += [*asked.lines, *_token_lines(result, asked)]
    lines += ["", "the model wrote", *_reply_lines(result.generation)]
    lines += ["", f"target {' | '.join(result.target) or '(hidden)'}"]
    for reading in by_rule:
        score = reading.results[0].score
        lines.append(f"{', '.join(reading.names)}: {score.explanation or score.answer}")
    return "\n".join(_indented(line, width) for line in lines)


def _token_lines(result: SampleResult, asked: Asked) -> list[str]:
    """Return lines with a prompt's tokens, and with the run's own token count if it differs."""
    lines = []
    earlier = result.generation.num_input_tokens
    if None not in (earlier, asked.num_tokens) and earlier != asked.num_tokens:
        lines.append(f"(it had {earlier} tokens when it was asked)")
    if asked.tokens is not None:
        runs = [(token, len([*same])) for token, same in itertools.groupby(asked.tokens)]
        texts = (f"{token} x {times}" if times > 1 else token for token, times in runs)
        lines += ["", f"its tokens: {' '.join(texts)}"]
    return lines


def _reply_lines(generation: Generation) -> list[str]:
    if generation.text is None:
        lines = [f"  nothing: {generation.error}"]
    else:
        lines = [f"  {line}" for line in (generation.text or "(empty)").splitlines()]
        facts = []  # none for texts of other tools
        if generation.num_output_tokens is not None:
            facts.append(count(generation.num_output_tokens, "token"))
        if generation.stop_reason:
            facts.append(f"ended by {generation.stop_reason}")
        if facts:
            lines.append(f"  ({', '.join(facts)})")
    if generation.choice_logprobs is not None:
        letters = zip(string.ascii_uppercase, generation.choice_logprobs, strict=False)
        shares = ", ".join(f"{letter} {100 * math.exp(value):.1f} %" for letter, value in letters)
        lines.append(f"  (its first token: {shares})")
    return lines


def _indented(line: str, width: int) -> str:
    """Return a line wrapped with its own indentation, limited to half the width."""
    indent = " " * min(len(line) - len(line.lstrip()), width // 2)
    return textwrap.indent(wrapped(line, width - len(indent)), indent)


def _content(
    result: SampleResult, by_rule: Sequence[Reading], asked: Asked | None
) -> Mapping[str, Any]:
    return {
        "id": result.id,
        "group": result.group,
        "facets": dict(result.facets),
        "media": list(result.media),
        "frame_indices": [list(frames) for frames in result.frame_indices],
        "prompt": result.prompt if asked is None else asked.prompt,
        "num_prompt_tokens": None if asked is None else asked.num_tokens,
        "prompt_tokens": None if asked is None or asked.tokens is None else list(asked.tokens),
        "target": list(result.target),
        "generation": dataclasses.asdict(result.generation),
        "rules": [
            {
                "rules": list(reading.names),
                "answer": reading.results[0].score.answer,
                "value": reading.results[0].score.value,
                "explanation": reading.results[0].score.explanation,
            }
            for reading in by_rule
        ],
    }


def contact_sheet(clips: Sequence[Clip]) -> Image:
    """Return one picture of all frames of some clips, row by row."""
    from PIL import Image

    frames = [frame for clip in clips for frame in clip.pixels]
    width = min(_FRAME_WIDTH, max(frame.shape[1] for frame in frames))
    heights = [max(1, round(frame.shape[0] * width / frame.shape[1])) for frame in frames]
    columns = min(_COLUMNS, len(frames))
    sheet = Image.new("RGB", (columns * width, math.ceil(len(frames) / columns) * max(heights)))
    for index, (frame, height) in enumerate(zip(frames, heights, strict=True)):
        corner = (index % columns * width, index // columns * max(heights))
        sheet.paste(Image.fromarray(frame).resize((width, height)), corner)
    return sheet


def _png(picture: Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def _drawn_in_terminal(png: bytes) -> str:
    """Return the escape sequence that draws a picture in this terminal, empty if it cannot.

    Kitty and Ghostty get kitty's graphics protocol, iTerm2 and WezTerm iTerm2's inline images.
    """
    if not sys.stdout.isatty():
        return ""
    data = base64.b64encode(png).decode()
    if "KITTY_WINDOW_ID" in os.environ or os.environ.get("TERM") == "xterm-ghostty":
        parts = [data[start : start + _KITTY_CHUNK] for start in range(0, len(data), _KITTY_CHUNK)]
        keys = [f"m={int(number < len(parts) - 1)}" for number in range(len(parts))]
        keys[0] = f"a=T,f=100,{keys[0]}"
        return "".join(f"\x1b_G{key};{part}\x1b\\" for key, part in zip(keys, parts, strict=True))
    if os.environ.get("TERM_PROGRAM") in ("iTerm.app", "WezTerm"):
        return f"\x1b]1337;File=inline=1;size={len(png)}:{data}\x07"
    return ""
