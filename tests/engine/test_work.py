"""What one run needs is built and checked before anything is generated."""

from __future__ import annotations

import pytest

from llava_eval.config.choices import list_choices
from llava_eval.config.compose import compose_config
from llava_eval.engine.work import Parts
from tests.scoring.test_wups import has_packages


@pytest.mark.slow  # half a second for each of seventy
@pytest.mark.parametrize("name", list_choices("benchmark"))
def test_every_packaged_benchmark_has_parts_that_fit(name: str) -> None:
    config = compose_config([f"benchmark={name}"]).config
    if "wups" in str(config.scorer["_target_"]) and not has_packages():
        pytest.skip("needs the extra wups")
    parts = Parts.build(config)
    assert set(parts.metrics) == set(config.benchmark.metrics)
    assert (parts.submission is None) == (config.benchmark.submission is None)
