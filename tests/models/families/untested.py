"""Families of transformers that have no tiny checkpoint here, and why."""

from __future__ import annotations

from typing import Final

_NO_QUESTION: Final = "its processor takes no question about an image (transcription, captions)"
_SAME: Final = "made of the classes of {} with other sizes"
_OTHER_TASK: Final = "its task is no visual question answering: {}"
_NOT_MANAGED: Final = "a tiny checkpoint that transformers runs was not managed"
_LATER: Final = "not tried; llava-eval doctor looks at a checkpoint of it"

UNTESTED: Final[dict[str, str]] = {
    "blip": _NO_QUESTION,
    "cosmos3_edge": _LATER,
    "cosmos3_omni": _LATER,
    "deepseek_ocr2": _LATER,
    "diffusion_gemma": _OTHER_TASK.format("it writes blocks by diffusion, not token by token"),
    "dots3_note": _LATER,
    "evolla": _OTHER_TASK.format("its inputs are proteins"),
    "gemma4_unified": _LATER,
    "git": _NO_QUESTION,
    "glm5_next": _LATER,
    "glmga": _SAME.format("glm46v"),
    "granite4_vision": _NOT_MANAGED,
    "granite_docling": _SAME.format("idefics3"),
    "inkling2": _LATER,
    "inkling_mm_model": _LATER,
    "instructblipvideo": "its processor takes four frames of a video under the name of images",
    "kosmos-2.5": _NO_QUESTION,
    "minicpm_ocr": _LATER,
    "mistral4": "its class here is a language model that takes no images",
    "molmo2": _LATER,
    "muse_glimmer": _LATER,
    "muse_spark": _LATER,
    "nemotron_h_omni": _LATER,
    "pi0": _OTHER_TASK.format("it writes actions of a robot"),
    "pix2struct": _NO_QUESTION,
    "pp_chart2table": _SAME.format("got_ocr2"),
    "pp_formulanet": _NO_QUESTION,
    "qwen4_exp": _NOT_MANAGED,
    "shieldgemma2": _OTHER_TASK.format("it classifies"),
    "step3p7": _LATER,
    "udop": _OTHER_TASK.format("its inputs are words with boxes"),
    "unlimited_ocr": _LATER,
    "vision-encoder-decoder": _NO_QUESTION,
}
