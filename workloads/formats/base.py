"""The contract of an export format."""

from __future__ import annotations

import abc
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from workloads.detections import Detections
from workloads.localization.candidates import Candidates


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """One image with the boxes that were found in it.

    Attributes:
        image_id: from 1; the position in the annotated folder's listing, so that ids do not
            shift when another image cannot be read.
        file_name: POSIX path relative to the annotated folder.
        detections: boxes of the classes that count as present.
        orientation: EXIF's, 1 to 8, which was applied: sizes and boxes are those of the upright
            image, whatever a reader makes of the file.
        candidates: these classes with their scores, points and, if they were kept, maps.
    """

    image_id: int
    file_name: str
    detections: Detections
    orientation: int
    candidates: Candidates


@dataclass(frozen=True, slots=True)
class About:
    """Facts about a collection that a format may want to tell.

    Attributes:
        classes: names, by label.
        images: written before file names, where a format says where files are: a folder or an
            address, relative or absolute; "" for names alone.
        model: name of the model.
    """

    classes: tuple[str, ...]
    images: str = ""
    model: str = "model"


class Format(abc.ABC):
    """Writes annotations in one format.

    Class attributes:
        name: the registry name.
        path: the file or folder that it makes, relative to the folder it is given.
    """

    name: ClassVar[str]
    path: ClassVar[str]

    @abc.abstractmethod
    def write(self, images: Iterable[AnnotatedImage], about: About, folder: Path) -> Path:
        """Write all images, in their order, whole or not at all.

        The same images give the same bytes. They are taken one at a time, so that memory does
        not grow with the collection.

        Args:
            folder: where `path` goes; an older one is replaced.

        Returns:
            What was written: a file, or a folder of files.

        Raises:
            OSError: as the file system says (a full disk, say); nothing is left behind.
        """
