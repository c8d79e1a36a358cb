"""What a manifest says of a run."""

from __future__ import annotations

import platform

import llava_eval
from llava_eval.results.environment import git_commit
from llava_eval.results.manifest import amount, provenance
from llava_eval.types import Generation
from tests.results.helpers import make_result


def test_what_was_generated_is_counted() -> None:
    results = [
        make_result(0, generation=Generation("a", 100, 2, "eos")),
        make_result(1, generation=Generation(None, error="E: x")),
        make_result(2, generation=Generation("b", 10, 5, "eos")),
    ]
    assert amount(results, 3.0) == {
        "num_generated": 3,
        "num_output_tokens": 7,
        "output_tokens_per_second": 2.333,
    }
    assert amount([], 3.0)["output_tokens_per_second"] == 0.0


def test_the_code_is_told_first() -> None:
    told = provenance({"seed": 1})
    assert list(told) == ["fingerprint", "identity", "versions", "git_commit"]
    assert told["identity"] == {"seed": 1}
    assert told["fingerprint"] != provenance({"seed": 2})["fingerprint"]
    assert told["versions"]["python"] == platform.python_version()
    assert told["versions"]["llava_eval"] == llava_eval.__version__
    assert told["git_commit"] == git_commit()
