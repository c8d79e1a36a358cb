"""Families of transformers that have no tiny checkpoint here, and why."""

from __future__ import annotations

from typing import Final

_NO_QUESTION: Final = "its processor takes no question about an image (transcription, captions)"
_SAME: Final = "made of the classes of {} with other sizes"
_OTHER_TASK: Final = "its task is no visual question answering: {}"

UNTESTED: Final[dict[str, str]] = {
    "diffusion_gemma": _OTHER_TASK.format("it writes blocks by diffusion, not token by token"),
    "evolla": _OTHER_TASK.format("its inputs are proteins"),
    "glmga": _SAME.format("glm46v"),
    "granite_docling": _SAME.format("idefics3"),
    "instructblipvideo": "its processor takes four frames of a video under the name of images",
    "kosmos-2.5": _NO_QUESTION,
    "mistral4": "its class here is a language model that takes no images",
    "pi0": _OTHER_TASK.format("it writes actions of a robot"),
    "pix2struct": _NO_QUESTION,
    "pp_chart2table": _SAME.format("got_ocr2"),
    "pp_formulanet": _NO_QUESTION,
    "shieldgemma2": _OTHER_TASK.format("it classifies"),
    "udop": _OTHER_TASK.format("its inputs are words with boxes"),
    "vision-encoder-decoder": _NO_QUESTION,
}
