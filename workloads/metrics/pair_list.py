"""A list of image-class pairs in a file: the difficult subset of a benchmark as it was published.

CSV with a header, or a JSON array of objects; columns `image` and `class`, others are ignored.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from workloads.errors import ConfigError, NotFound, unknown_name
from workloads.files import is_file, read_text

COLUMNS = ("image", "class")
PairList = frozenset[tuple[str, int]]
"""Pairs of an image id and a class index."""


@lru_cache(maxsize=4)
def read_pairs(path: Path, classes: tuple[str, ...]) -> PairList:
    """The pairs of a file; a file is read once in a process.

    Images are named by their ids in the shards; the ending of an image file is left out. Classes
    are named as in `classes`.

    Raises:
        NotFound: no such file.
        ConfigError: not such a table, an unknown class (with the nearest match), or no pair.
    """
    if not is_file(path):
        raise NotFound(f"{path}: no such file; give the table of difficult pairs, or no option")
    indices = {name: index for index, name in enumerate(classes)}
    pairs = set()
    for number, row in enumerate(_rows(path), start=1):
        missing = [column for column in COLUMNS if row.get(column) in (None, "")]
        if missing:
            raise ConfigError(
                f"{path}: row {number} has no '{missing[0]}'; a table of pairs has the columns "
                f"{' and '.join(COLUMNS)}"
            )
        image, name = (str(row[column]).strip() for column in COLUMNS)
        if name not in indices:
            raise ConfigError(f"{path}: row {number}: {unknown_name('class', name, classes)}")
        pairs.add((image_id_of(image), indices[name]))
    if not pairs:
        raise ConfigError(f"{path}: no pair in it; give a table with the columns image and class")
    return frozenset(pairs)


def image_id_of(image: str) -> str:
    """An image's id from how a table may write it: with the ending of its file, or without."""
    stem, dot, ending = image.rpartition(".")
    return stem if dot and ending.lower() in ("jpg", "jpeg", "png") else image


def _rows(path: Path) -> Iterable[Mapping[str, Any]]:
    try:
        text = read_text(path, "utf-8-sig")
        if path.suffix.lower() != ".json":
            return list(csv.DictReader(text.splitlines()))
        rows = json.loads(text)
    except (UnicodeDecodeError, ValueError, csv.Error) as error:
        raise ConfigError(f"{path}: not a table ({error}); write CSV or a JSON array") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ConfigError(f"{path}: not a JSON array of objects with image and class")
    return rows
