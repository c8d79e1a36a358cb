"""The table of the references' values; see README.md."""

from __future__ import annotations

import functools
import json
import lzma
from pathlib import Path
from typing import Any

_TABLE = Path(__file__).parent / "golden.json.xz"


@functools.cache
def golden() -> dict[str, Any]:
    """Return the whole table."""
    content = json.loads(lzma.decompress(_TABLE.read_bytes()))
    assert isinstance(content, dict)
    return content
