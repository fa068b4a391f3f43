"""Object proposals: class-free boxes and the saliency map they average to, made once and stored.

The paper that learns from such maps takes geodesic object proposals, of which no maintained
package exists; selective search stands in for them, with boxes for masks.

A proposals folder is an artifact: one Parquet part for each row group of the shards, and a
manifest that names the parts of each split.

Shapes: H W size of an image, R regions, S side of a saliency map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workloads.artifacts import is_sealed, read_manifest, seal
from workloads.errors import IntegrityError
from workloads.images.decode import ImageLimits, decode
from workloads.parquet import write_parquet
from workloads.proposals.options import Peak, ProposalOptions
from workloads.proposals.selective_search import selective_search
from workloads.proposals.store import SCHEMA, SCHEMA_VERSION
from workloads.storage.storage import storage_of

if TYPE_CHECKING:
    from workloads.shards.read import RowGroup

# How finely the share of a cell that a box covers is counted. Sums of whole numbers are exact in
# any order, so a map has the same bits on every machine.
COVERED = 256


def propose(image: NDArray[np.uint8], options: ProposalOptions) -> NDArray[np.float32]:
    """(R, 4) float32 boxes_xyxy of an (H, W, 3) uint8 image, best first, at least one.

    Half-open, in pixels of the image, which is upright RGB; see `selective_search`.
    """
    found = selective_search(image, options.mode, options.search_side, options.min_side)
    return found[: options.max_regions]


def saliency_of(
    boxes_xyxy: NDArray[np.float32], width: int, height: int, side: int, peak: Peak = "mean"
) -> NDArray[np.float32]:
    """The mean of boxes' masks over a whole image, (side, side) float32 in [0, 1].

    A cell of a mask holds the share of it that the box covers.

    Args:
        boxes_xyxy: (R, 4), R at least 1, pixels of the upright image.
        width, height: of that image.
        peak: "mean" leaves it so, as the paper's text; its peak is low where boxes scatter.
            "one" divides by the peak, so that something is fully salient in every image: a
            network that shows the foreground by multiplication then leaves that as it is.
    """
    cells = boxes_xyxy.astype(np.float64) * np.array([side / width, side / height] * 2)
    columns = _covered(cells[:, 0], cells[:, 2], side)
    rows = _covered(cells[:, 1], cells[:, 3], side)
    total = rows.T @ columns  # a box covers as much of a cell as of its row times its column
    full = total.max() if peak == "one" else len(cells) * COVERED**2
    saliency: NDArray[np.float32] = (total / max(full, 1)).astype(np.float32)
    return saliency


def _covered(
    starts: NDArray[np.float64], ends: NDArray[np.float64], side: int
) -> NDArray[np.float64]:
    """(R, side): how much of each unit cell lies between start and end, in whole 1 / COVERED."""
    cells = np.arange(side)
    inside = np.minimum(ends[:, None], cells + 1) - np.maximum(starts[:, None], cells)
    covered: NDArray[np.float64] = np.rint(COVERED * np.clip(inside, 0, 1))
    return covered


class Part(NamedTuple):
    """A file of proposals to be, and the images that it is for."""

    file: str
    group: RowGroup


def plan_parts(shards: Path, splits: Sequence[str]) -> dict[str, list[Part]]:
    """The parts of each split, in order.

    Raises:
        NotFound: no shards there, or no such split.
    """
    from workloads.shards.read import row_groups

    groups = {split: row_groups(shards, split) for split in splits}
    return {
        split: [Part(f"{split}-{index:05d}.parquet", g) for index, g in enumerate(of_split)]
        for split, of_split in groups.items()
    }


def write_part(path: Path, group: RowGroup, options: ProposalOptions, limits: ImageLimits) -> None:
    """Propose for every image of a row group; the Parquet file is written whole or not at all."""
    rows = []
    for record in group.read():
        boxes = propose(decode(record.image, limits), options)
        width, height = record.width, record.height
        saliency = saliency_of(boxes, width, height, options.map_side, options.peak)
        rows.append(
            {
                "image_id": record.image_id,
                "width": width,
                "height": height,
                "boxes_xyxy": boxes.ravel(),
                "saliency": np.rint(255 * saliency).astype(np.uint8).tobytes(),
            }
        )
    write_parquet(path, pa.Table.from_pylist(rows, SCHEMA), compression="ZSTD")


def seal_proposals(
    folder: Path, plan: Mapping[str, Sequence[Part]], shards: Path, options: ProposalOptions
) -> None:
    """Write the manifest of a folder whose parts are all there.

    Raises:
        IntegrityError: a part is missing.
    """
    files = {split: [part.file for part in parts] for split, parts in plan.items()}
    for file in chain.from_iterable(files.values()):
        if not storage_of(folder).exists(folder / file):
            raise IntegrityError(f"{folder / file}: not written; run the same command again")
    seal(
        folder,
        kind="proposals",
        schema_version=SCHEMA_VERSION,
        shards=read_manifest(shards, "shards")["digest"],
        options=options.model_dump(mode="json"),
        images={split: sum(p.group.rows for p in parts) for split, parts in plan.items()},
        parts=files,
    )


def store_proposals(
    shards: Path,
    splits: Sequence[str],
    folder: Path,
    options: ProposalOptions,
    limits: ImageLimits,
) -> Path:
    """Proposals of splits, made in this process; a finished folder is kept.

    Raises:
        NotFound: no shards there, or no such split.
    """
    if not is_sealed(folder):
        plan = plan_parts(shards, splits)
        for part in chain.from_iterable(plan.values()):
            write_part(folder / part.file, part.group, options, limits)
        seal_proposals(folder, plan, shards, options)
    return folder
