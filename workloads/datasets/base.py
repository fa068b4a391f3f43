"""The contract of a data set: read a layout as it is distributed."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from workloads.records import GroundTruth

Task = Literal["multilabel", "singlelabel"]


@dataclass(frozen=True, slots=True)
class Item:
    """One listed image: where it is, not what is in it. Cheap to list, cheap to ship."""

    image_id: str
    split: str
    image_path: Path
    annotation_path: Path | None
    num_bytes: int


class Dataset(abc.ABC):
    """A data set on disk. Listing is cheap; `annotation` reads one image's truth.

    Instances are small and picklable: workers read items on their own.
    """

    name: ClassVar[str]
    task: ClassVar[Task]

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    @abc.abstractmethod
    def classes(self) -> tuple[str, ...]:
        """Class names; a class index is a position in here."""

    @abc.abstractmethod
    def splits(self) -> tuple[str, ...]:
        """Names of the splits found on disk."""

    @abc.abstractmethod
    def items(self, split: str) -> list[Item]:
        """All images listed for a split, in a fixed order, existing or not.

        Raises:
            NotFound: no such split; the message names those that exist.
        """

    @abc.abstractmethod
    def annotation(self, item: Item, width: int, height: int) -> GroundTruth:
        """The truth of one image whose upright size is width x height.

        Raises:
            InputRejected: the annotation is missing, malformed, names an unknown class, or has
                a box that is inverted or outside the image.
        """
