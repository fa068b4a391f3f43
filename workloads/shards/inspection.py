"""Statistics of shards: images, labels and boxes, counted from the truth alone.

The bytes of images are never read, so this takes seconds where reading the images takes hours,
and memory stays flat. Everything is a sum of whole numbers over batches of rows: how a split was
cut into shards makes no difference.

Shapes: N images of a batch, K classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workloads.errors import IntegrityError
from workloads.parquet import open_parquet
from workloads.shards.cooccurrence import cooccurrence
from workloads.shards.manifest import ShardManifest, read_shard_manifest, shard_files
from workloads.shards.quarantine import reasons
from workloads.shards.statistics import (
    AREA_EDGES,
    ASPECT_EDGES,
    COCO_AREAS,
    BoxStatistics,
    ClassStatistics,
    Histogram,
    ImageStatistics,
    Inspection,
    SplitStatistics,
    Spread,
)

ROWS_PER_BATCH = 2048

_TRUTH = (
    *("width", "height", "labels", "difficult_labels", "boxes_xyxy", "box_labels"),
    *("box_difficult", "box_truncated", "box_crowd", "mask", "blacklisted"),
)
Integers = NDArray[np.int64]


def inspect_shards(
    folder: Path,
    splits: Sequence[str] = (),
    on_images: Callable[[int], None] = lambda _: None,
) -> Inspection:
    """Count what is in shards.

    Args:
        splits: which ones; all if empty.
        on_images: called with the number of images of each batch.

    Raises:
        NotFound: no shards there, or no such split; the message names those that exist.
        IntegrityError: the shards are damaged or of another version of this program.
    """
    manifest = read_shard_manifest(folder)
    files = {split: shard_files(folder, split) for split in splits or manifest.splits}
    found = [_inspect_split(folder, manifest, *item, on_images) for item in files.items()]
    return Inspection(
        dataset=manifest.dataset,
        task=manifest.task,
        classes=manifest.classes,
        splits=tuple(sorted(found, key=lambda split: (-split.read, split.split))),
    )


def _inspect_split(
    folder: Path,
    manifest: ShardManifest,
    split: str,
    files: Sequence[Path],
    on_images: Callable[[int], None],
) -> SplitStatistics:
    counts = _Counts(len(manifest.classes))
    for path in files:
        for batch in _batches(path):
            _check_labels(batch, len(manifest.classes), path)
            counts.add(batch)
            on_images(batch.num_rows)
    info = manifest.splits[split]
    together = None
    if manifest.task == "multilabel":
        matrix = cooccurrence(folder, split, len(manifest.classes))
        together = tuple(map(tuple, matrix.tolist()))
    return SplitStatistics(
        split=split,
        listed=info.listed,
        read=info.read,
        quarantined=info.quarantined,
        images=counts.image_statistics(),
        boxes=counts.box_statistics(),
        classes=counts.class_statistics(manifest.classes),
        cooccurrence=together,
        reasons=reasons(folder, split),
    )


@dataclass(slots=True)
class _Counts:
    """Whole numbers that add up over the batches of a split."""

    num_classes: int
    images: int = 0
    portrait: int = 0
    without_labels: int = 0
    labelled_without_boxes: int = 0
    with_mask: int = 0
    blacklisted: int = 0
    boxes: int = 0
    most: int = 0
    difficult: int = 0
    truncated: int = 0
    crowds: int = 0
    widths: Counter[int] = field(default_factory=Counter)
    heights: Counter[int] = field(default_factory=Counter)
    class_images: Integers = field(init=False)
    class_difficult: Integers = field(init=False)
    class_boxes: Integers = field(init=False)
    sizes: Integers = field(default_factory=lambda: np.zeros(len(COCO_AREAS) + 1, np.int64))
    areas: Integers = field(default_factory=lambda: np.zeros(len(AREA_EDGES) - 1, np.int64))
    aspects: Integers = field(default_factory=lambda: np.zeros(len(ASPECT_EDGES) - 1, np.int64))

    def __post_init__(self) -> None:
        self.class_images, self.class_difficult, self.class_boxes = np.zeros(
            (3, self.num_classes), np.int64
        )

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the rows of a batch."""
        self._add_images(batch)
        single = ~_values(batch, "box_crowd")
        owner = np.repeat(np.arange(batch.num_rows), _lengths(batch, "box_labels"))[single]
        self._add_labels(batch, np.bincount(owner, minlength=batch.num_rows))
        self._add_boxes(batch, single)
        self._add_sizes(batch, single, owner)

    def image_statistics(self) -> ImageStatistics:
        return ImageStatistics(
            width=_spread(self.widths),
            height=_spread(self.heights),
            portrait=_share(self.portrait, self.images),
            without_labels=self.without_labels,
            labelled_without_boxes=self.labelled_without_boxes,
            with_mask=self.with_mask,
            blacklisted=self.blacklisted,
        )

    def box_statistics(self) -> BoxStatistics:
        small, medium, large = self.sizes.tolist()
        return BoxStatistics(
            count=self.boxes,
            per_image=_share(self.boxes, self.images),
            most=self.most,
            difficult=_share(self.difficult, self.boxes),
            truncated=_share(self.truncated, self.boxes),
            crowds=self.crowds,
            small=small,
            medium=medium,
            large=large,
            area=Histogram(AREA_EDGES, tuple(self.areas.tolist())),
            aspect=Histogram(ASPECT_EDGES, tuple(self.aspects.tolist())),
        )

    def class_statistics(self, names: Sequence[str]) -> tuple[ClassStatistics, ...]:
        columns = (self.class_images, self.class_difficult, self.class_boxes)
        rows = zip(names, *(column.tolist() for column in columns), strict=True)
        return tuple(ClassStatistics(*row) for row in rows)

    def _add_images(self, batch: pa.RecordBatch) -> None:
        width, height = _values(batch, "width"), _values(batch, "height")
        self.images += batch.num_rows
        self.portrait += int((height > width).sum())
        self.widths.update(width.tolist())
        self.heights.update(height.tolist())
        self.with_mask += batch.num_rows - batch.column("mask").null_count
        self.blacklisted += int(_values(batch, "blacklisted").sum())

    def _add_labels(self, batch: pa.RecordBatch, boxes_of_image: Integers) -> None:
        labelled = (_lengths(batch, "labels") + _lengths(batch, "difficult_labels")) > 0
        self.without_labels += int((~labelled).sum())
        self.labelled_without_boxes += int((labelled & (boxes_of_image == 0)).sum())
        self.most = max(self.most, int(boxes_of_image.max(initial=0)))
        self.class_images += self._by_class(_values(batch, "labels"))
        self.class_difficult += self._by_class(_values(batch, "difficult_labels"))

    def _add_boxes(self, batch: pa.RecordBatch, single: NDArray[np.bool_]) -> None:
        self.boxes += int(single.sum())
        self.crowds += int((~single).sum())
        self.difficult += int(_values(batch, "box_difficult")[single].sum())
        self.truncated += int(_values(batch, "box_truncated")[single].sum())
        self.class_boxes += self._by_class(_values(batch, "box_labels")[single])

    def _add_sizes(
        self, batch: pa.RecordBatch, single: NDArray[np.bool_], owner: NDArray[np.integer]
    ) -> None:
        x0, y0, x1, y1 = _values(batch, "boxes_xyxy").astype(float).reshape(-1, 4)[single].T
        width, height = x1 - x0, y1 - y0  # float64 and above 0: ingestion refuses empty boxes
        image = _values(batch, "width").astype(float) * _values(batch, "height")
        area = width * height
        self.sizes += np.bincount(np.digitize(area, COCO_AREAS), minlength=len(self.sizes))
        self.areas += _binned(area / image[owner], AREA_EDGES)
        self.aspects += _binned(width / height, ASPECT_EDGES)

    def _by_class(self, labels: NDArray[np.integer]) -> Integers:
        return np.bincount(labels, minlength=self.num_classes)


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    with open_parquet(path) as file:
        yield from file.iter_batches(batch_size=ROWS_PER_BATCH, columns=list(_TRUTH))


def _check_labels(batch: pa.RecordBatch, num_classes: int, path: Path) -> None:
    for name in ("labels", "difficult_labels", "box_labels"):
        labels = _values(batch, name)
        bad = labels[(labels < 0) | (labels >= num_classes)]
        if len(bad):
            raise IntegrityError(
                f"{path}: label {bad[0]}, but there are {num_classes} classes; ingest again"
            )


def _values(batch: pa.RecordBatch, name: str) -> NDArray[Any]:
    """A column's values; those of lists one after the other."""
    column = batch.column(name)
    flat = column.flatten() if pa.types.is_list(column.type) else column
    return np.asarray(flat.to_numpy(zero_copy_only=False))


def _lengths(batch: pa.RecordBatch, name: str) -> NDArray[np.integer]:
    """(N,) lengths of the lists of a column."""
    return np.asarray(batch.column(name).value_lengths().to_numpy(zero_copy_only=False))


def _binned(values: NDArray[np.float64], edges: Sequence[float]) -> Integers:
    return np.bincount(np.digitize(values, edges[1:-1]), minlength=len(edges) - 1)


def _spread(counts: Counter[int]) -> Spread | None:
    if not counts:
        return None
    values = sorted(counts)
    ranks = np.cumsum([counts[value] for value in values])
    total = int(ranks[-1])
    # The two middle ones, which are the same one of an odd number.
    low, high = (values[int(np.searchsorted(ranks, rank + 1))] for rank in _middles(total))
    return Spread(values[0], (low + high) / 2, values[-1])


def _middles(total: int) -> tuple[int, int]:
    """Positions of the two values whose mean is the median of `total` ordered ones."""
    return (total - 1) // 2, total // 2


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
