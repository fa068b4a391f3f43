"""Stored object proposals by image id.

Shapes: R regions, S side of a saliency map.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workloads.artifacts import MANIFEST, read_manifest
from workloads.errors import IntegrityError, NotFound, unknown_name
from workloads.parquet import read_columns

# The images that a training holds at a time come from about ten parts; more are kept, because
# some images stay for long.
CACHED_COLUMNS = 32


def read_proposals(folder: Path, split: str) -> ProposalStore:
    """The stored proposals of one split.

    Raises:
        NotFound: no finished proposals there, or not of that split; the message names others.
        IntegrityError: they are of another version of this program.
    """
    return store_of(folder, read_manifest(folder, "proposals"), split)


def store_of(folder: Path, manifest: Mapping[str, Any], split: str) -> ProposalStore:
    """The proposals of one split of a manifest that was read.

    Raises:
        NotFound, IntegrityError: as `read_proposals` does.
    """
    version = manifest.get("schema_version")
    if version != SCHEMA_VERSION:
        raise IntegrityError(
            f"{folder / MANIFEST}: proposals of schema {version}, this program reads proposals of "
            f"schema {SCHEMA_VERSION}; run 'wsol proposals' again"
        )
    if split not in manifest["parts"]:
        known = unknown_name("split", split, manifest["parts"])
        raise NotFound(f"{folder}: {known}; run 'wsol proposals' with --split {split}")
    return ProposalStore(folder, manifest["parts"][split])


class ProposalStore:
    """Proposals by image id. Only an index of the ids is held; threads may share a store."""

    def __init__(self, folder: Path, files: Sequence[str]) -> None:
        self.folder = folder
        self.files = files
        self._column = lru_cache(CACHED_COLUMNS)(_read_column)
        ids = [_read_column(folder / file, "image_id").to_pylist() for file in files]
        known = np.array([image_id.encode() for image_id in chain(*ids)], dtype=np.bytes_)
        order = np.argsort(known, kind="stable")
        # Arrays: a dictionary of a million ids would take several hundred megabytes.
        self._ids = known[order]
        self._part = np.repeat(np.arange(len(ids)), [len(part) for part in ids])[order]
        self._row = np.array([row for part in ids for row in range(len(part))], np.int32)[order]

    def __len__(self) -> int:
        return len(self._ids)

    def saliency(self, image_id: str) -> NDArray[np.float32]:
        """(S, S) float32 in [0, 1] in steps of 1/255, over the whole upright image.

        Raises:
            NotFound: there is none of that image.
        """
        levels = np.frombuffer(self._value(image_id, "saliency"), np.uint8)
        side = math.isqrt(len(levels))
        return levels.reshape(side, side).astype(np.float32) / np.float32(255)

    def boxes(self, image_id: str) -> NDArray[np.float32]:
        """(R, 4) float32 boxes_xyxy, half-open, pixels of the upright image, best first.

        Raises:
            NotFound: there are none of that image.
        """
        return np.array(self._value(image_id, "boxes_xyxy"), np.float32).reshape(-1, 4)

    def _value(self, image_id: str, name: str) -> Any:
        key = image_id.encode()
        at = int(np.searchsorted(self._ids, np.bytes_(key)))
        if at == len(self._ids) or self._ids[at] != key:
            raise NotFound(
                f"{self.folder}: no proposals of image '{image_id}'; run 'wsol proposals' on the "
                "shards that hold it"
            )
        column = self._column(self.folder / self.files[self._part[at]], name)
        return column[int(self._row[at])].as_py()


def _read_column(path: Path, name: str) -> pa.ChunkedArray:
    return read_columns(path, [name])[name]


SCHEMA_VERSION = 1


SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("boxes_xyxy", pa.list_(pa.float32()), nullable=False),  # flat, four per box
        pa.field("saliency", pa.binary(), nullable=False),  # uint8 (S, S), 255 is 1
    ]
)
