"""Tiny checkpoints of every family of models, with random weights and real classes."""

from tests.models.families import further as further
from tests.models.families import llava_like as llava_like
from tests.models.families import newest as newest
from tests.models.families import others as others
from tests.models.families import qwen_like as qwen_like
from tests.models.families import since_5_24 as since_5_24
from tests.models.families.parts import FAMILIES as FAMILIES
from tests.models.families.parts import Family as Family
