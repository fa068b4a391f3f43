"""The contract of an export format."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from workloads.detections import Detections


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """One image with the boxes that were found in it.

    Attributes:
        image_id: from 1; the position in the annotated folder's listing, so that ids do not
            shift when another image cannot be read.
        file_name: POSIX path relative to the annotated folder.
    """

    image_id: int
    file_name: str
    detections: Detections


class Format(abc.ABC):
    """Writes annotations in one format.

    Class attributes:
        name: the registry name.
        suffix: how the export's file name ends; it is called `annotations<suffix>`.
    """

    name: ClassVar[str]
    suffix: ClassVar[str]

    @classmethod
    def file_name(cls) -> str:
        """Name of the export in an annotation folder."""
        return f"annotations{cls.suffix}"

    @abc.abstractmethod
    def write(self, rows: Iterable[AnnotatedImage], classes: Sequence[str], path: Path) -> None:
        """Write all rows, in their order, whole or not at all.

        The same rows give the same bytes. Rows are taken one at a time, so that memory does
        not grow with the collection.

        Raises:
            OSError: as the file system says (a full disk, say); nothing is left behind.
        """
