"""Map names from earlier versions' configuration files to the present ones.

A run directory keeps the configuration it was made with, and users keep files of their own. Both
may name functions and classes that have moved since.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

#: Present module: modules of earlier versions whose functions configuration files may name.
_FORMER: Final = {
    "benchmarks.adapters.egoschema": "benchmarks.egoschema",
    "benchmarks.adapters.image": (
        "benchmarks.image_captions benchmarks.image_choices benchmarks.image_questions"
    ),
    "benchmarks.adapters.longvideobench": "benchmarks.longvideobench",
    "benchmarks.adapters.mmbench": "benchmarks.mmbench",
    "benchmarks.adapters.mmmu": "benchmarks.mmmu",
    "benchmarks.adapters.mvbench": "benchmarks.mvbench",
    "benchmarks.adapters.nextqa": "benchmarks.nextqa",
    "benchmarks.adapters.tempcompass": "benchmarks.tempcompass",
    "benchmarks.adapters.video_chatgpt": (
        "benchmarks.activitynet_qa benchmarks.video_chatgpt benchmarks.video_detail_description"
    ),
    "metrics.groups": "metrics.judged metrics.macro metrics.whole_groups",
    "results.exchange.submission": "results.answer_lists results.submission",
    "scoring.captions.corpus": "metrics.caption_sets scorers.caption scoring.captions.scorer",
    "scoring.captions.java": "metrics.caption_java",
    "scoring.choice": (
        "scorers.choice scorers.first_letter scorers.image.mmbench scorers.image.scienceqa "
        "scorers.likelihood scorers.mlvu scorers.mmmu_letter scorers.mvbench "
        "scorers.ranked_letter scorers.standalone_letter"
    ),
    "scoring.judge.dimensions": "scorers.judged_dimensions",
    "scoring.judge.rules_first": "scoring.judge.mathvista scoring.judge.mmvu scoring.judge.tomato",
    "scoring.judge.scorers": "scorers.judged",
    "scoring.mmmu_answer": "scorers.image.mmmu",
    "scoring.tempcompass_rules": "scorers.tempcompass scorers.tempcompass_judged",
    "scoring.text": (
        "scorers.image.anls scorers.image.chartqa scorers.image.exact scorers.image.yes_no "
        "scorers.text"
    ),
    "scoring.vqa": "scorers.image.vqa",
    "scoring.wups": "scorers.wups",
    "video.samplers": "video.whole_steps",
}
_MOVED: Final = {old: new for new, listed in _FORMER.items() for old in listed.split()}


def current_target(dotted: str) -> str:
    """Return the present path of a function or class that a ``_target_`` names.

    Args:
        dotted: for instance "llava_eval.metrics.macro.macro_mean"; a path that has not moved is
            returned unchanged.
    """
    module, _, attribute = dotted.removeprefix("llava_eval.").rpartition(".")
    moved = _MOVED.get(module) if dotted.startswith("llava_eval.") else None
    return dotted if moved is None else f"llava_eval.{moved}.{attribute}"


_ADAPTERS: Final = "llava_eval.benchmarks.adapters."
#: Adapters of earlier versions: the parameters that make ``open_ended`` do the same.
_OPEN_ENDED: Final[Mapping[str, Mapping[str, Any]]] = {
    "question_lists.one_question": {"options": "options"},
    "video_chatgpt.capitalised_question": {},
    "video_chatgpt.first_line_is_the_reference": {"first_line": True},
}

#: Functions whose parameters have changed since version 0.1.
_MEANS: Final = ("llava_eval.metrics.means.mean_score", "llava_eval.metrics.groups.macro_mean")


def current_node(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return a node with the present names of its ``_target_`` and parameters.

    Args:
        node: from a file of this or an earlier version; has a ``_target_``.
    """
    target = node["_target_"]
    current = {**node, "_target_": current_target(target) if isinstance(target, str) else target}
    if (further := _OPEN_ENDED.get(str(current["_target_"]).removeprefix(_ADAPTERS))) is not None:
        current |= {**further, "_target_": f"{_ADAPTERS}open_ended"}
    if current["_target_"] in _MEANS:
        _name_denominator(current)
    return current


def _name_denominator(node: dict[str, Any]) -> None:
    """Replace version 0.1's ``unscored_as`` and ``strict`` by ``denominator``, in place."""
    if "unscored_as" in node and node["unscored_as"] in (None, 0):
        counts_all = node.pop("unscored_as") == 0
        node.update({"denominator": "all"} if counts_all else {})
    if isinstance(node.get("strict"), bool):
        is_strict = node.pop("strict")
        node.update({"denominator": "strict"} if is_strict else {})


#: Keys of version 0.1: their present names. Keys below them are renamed with them.
_RENAMED: Final = {
    "benchmark.sample": "benchmark.subsample",
    "benchmark.strip_replies": "benchmark.reply.strip",
}


def current_key(key: str) -> str:
    """Return the present name of a dotted key of a run's configuration."""
    for former, present in _RENAMED.items():
        if key == former or key.startswith(f"{former}."):
            return present + key.removeprefix(former)
    return key


#: Protocols whose own scorer had their name, with an underscore for the slash.
_CALLED_AS_PROTOCOLS: Final = (
    "ai2d/lmms_eval gqa/llava mlvu/official mmbench/lmms_eval mmbench/vlmevalkit mme/lmms_eval "
    "mvbench/lmms_eval mvbench/official pope/llava pope/lmms_eval tempcompass/lmms_eval "
    "tempcompass/official videomme/lmms_eval_v0_2 videomme/vlmevalkit vqav2/lmms_eval "
)
#: Scorers of version 0.1 that are now part of a protocol's file; users' files may name them.
FORMER_SCORERS: Final = {
    "anls": "docvqa/lmms_eval",
    "chartqa_relaxed": "chartqa/lmms_eval",
    "egoschema": "egoschema/lmms_eval",
    "judged_answer_lmms_eval": "activitynet_qa/lmms_eval",
    "judged_answer_lmms_eval_v0_2": "activitynet_qa/lmms_eval_v0_2",
    "judged_detail": "video_detail_description/llava_next",
    "judged_detail_lmms_eval": "video_detail_description/lmms_eval",
    "judged_dimensions": "video_chatgpt/video_chatgpt",
    "judged_dimensions_llava_next": "video_chatgpt/llava_next",
    "lmms_eval_exact_match": "gqa/lmms_eval",
    "lowest_loss": "egoschema/mc_ppl",
    "mmmu_official": "mmmu/lmms_eval_v0_2",
    "nextqa_mc": "nextqa_mc/lmms_eval",
    "perceptiontest": "perceptiontest/lmms_eval",
    "scienceqa_llava": "scienceqa_img/llava",
    "scienceqa_lmms_eval": "scienceqa_img/lmms_eval",
    "vqa_official": "vqav2/official",
    "wups": "nextqa_oe/llava_next",
    "wups_lmms_eval": "nextqa_oe/lmms_eval",
    **{path.replace("/", "_"): path for path in _CALLED_AS_PROTOCOLS.split()},
}
