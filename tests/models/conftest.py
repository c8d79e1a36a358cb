"""The embedded checkpoint, loaded once."""

from __future__ import annotations

from pathlib import Path

import pytest

from llava_eval.config.schema import ModelConfig
from llava_eval.models.local.checkpoint import CheckpointFolder, find_checkpoint
from llava_eval.models.local.model import LoadedModel, load_model
from llava_eval.models.local.plan import plan_checkpoint


@pytest.fixture(scope="session")
def checkpoint(demo: Path) -> CheckpointFolder:
    return find_checkpoint(str(demo / "checkpoint"))


@pytest.fixture(scope="session")
def loaded(checkpoint: CheckpointFolder) -> LoadedModel:
    return load_model(plan_checkpoint(checkpoint, ModelConfig(device="cpu")))
