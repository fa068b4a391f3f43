"""Numbers of an inspection of shards, ready for JSON.

Boxes are those of single objects. Crowds, which are boxes over groups, are only counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from workloads.records import Task
from workloads.shards.quarantine import Reason

# Bins are even on a log scale: 5 to a power of ten, and 3.5 to a doubling with squares amid one.
AREA_EDGES = tuple(float(10 ** (-4 + i / 5)) for i in range(21))
ASPECT_EDGES = tuple(float(2 ** (-3 + i * 6 / 21)) for i in range(22))
# COCO's sizes: small is below the first, medium below the second, in pixels.
COCO_AREAS = (32**2, 96**2)


@dataclass(frozen=True, slots=True)
class Spread:
    """The range and the middle of whole numbers."""

    smallest: int
    median: float
    largest: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of values; bin i is [edges[i], edges[i + 1]), the first and the last are open."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ImageStatistics:
    """The images of a split.

    Attributes:
        width, height: of the upright images, in pixels; None without images.
        portrait: share of the images that are higher than wide; None without images.
        without_labels: nothing is said about them, not even of a difficult object.
        labelled_without_boxes: a class is known to be there, but no object has a box.
        with_mask: there is a mask of the class's pixels.
        blacklisted: localization is not judged on them.
    """

    width: Spread | None
    height: Spread | None
    portrait: float | None
    without_labels: int
    labelled_without_boxes: int
    with_mask: int
    blacklisted: int


@dataclass(frozen=True, slots=True)
class BoxStatistics:
    """The boxes of single objects of a split.

    Attributes:
        per_image: mean over all images, those without boxes included; None without images.
        most: the largest number in one image.
        difficult, truncated: shares of the boxes; None without boxes.
        crowds: boxes over groups, which are in no other number here.
        small, medium, large: by area in pixels, see COCO_AREAS.
        area: boxes by their share of the image's area.
        aspect: boxes by width / height.
    """

    count: int
    per_image: float | None
    most: int
    difficult: float | None
    truncated: float | None
    crowds: int
    small: int
    medium: int
    large: int
    area: Histogram
    aspect: Histogram


@dataclass(frozen=True, slots=True)
class ClassStatistics:
    """One class in a split.

    Attributes:
        images: with an object of it that is not difficult.
        difficult_images: all objects of it in them are difficult.
        boxes: of single objects, difficult ones included.
    """

    name: str
    images: int
    difficult_images: int
    boxes: int


@dataclass(frozen=True, slots=True)
class SplitStatistics:
    """One split.

    Attributes:
        listed, read, quarantined: images; `read` of them are in the shards.
        classes: by class index.
        cooccurrence: (K, K) p(row | column), see `workloads.shards.cooccurrence.cooccurrence`;
            None where
            every image has one label.
        reasons: why images were quarantined, the most frequent first.
    """

    split: str
    listed: int
    read: int
    quarantined: int
    images: ImageStatistics
    boxes: BoxStatistics
    classes: tuple[ClassStatistics, ...]
    cooccurrence: tuple[tuple[float, ...], ...] | None
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """An inspection of shards; the split with most images first."""

    dataset: str
    task: Task
    classes: tuple[str, ...]
    splits: tuple[SplitStatistics, ...]
