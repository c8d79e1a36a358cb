"""Tab-separated tables with images in base64, as MMBench's authors publish them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

#: An image cell of so few characters names the row that holds the image, by its index.
_MOST_INDEX_CHARACTERS = 64


def read_tsv(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a table, all cells as text.

    Source of the rule for images: open-compass/VLMEvalKit, vlmeval/dataset/image_base.py.

    Raises:
        ValueError: the file is no table.
    """
    import pandas as pd

    frame = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    rows = [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
    images = {row["index"]: row["image"] for row in rows if "image" in row and "index" in row}
    for row in rows:
        image = row.get("image", "")
        if len(image) <= _MOST_INDEX_CHARACTERS and image in images:
            row["image"] = images[image]
        yield row
