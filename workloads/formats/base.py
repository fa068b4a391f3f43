"""The contract of an export format."""

from __future__ import annotations

import abc
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import ClassVar
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from workloads.detections import Detections
from workloads.errors import ConfigError
from workloads.localization.candidates import Candidates
from workloads.localization.cutoffs import Cutoffs


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
        candidates: classes that count as present and those that boxes were found as, with their
            scores, points and, if they were kept, maps.
        found_as: (N,) int32 class of each box when it was found, where a review may have given it
            another; None: the same.
    """

    image_id: int
    file_name: str
    detections: Detections
    orientation: int
    candidates: Candidates
    found_as: NDArray[np.int32] | None = None


@dataclass(frozen=True, slots=True)
class About:
    """Facts about a collection that a format may want to tell.

    Attributes:
        classes: names, by label.
        images: written before file names, where a format says where files are: a folder or an
            address, relative or absolute; "" for names alone.
        model: name of the model.
        cutoffs: those that the boxes were found at.
    """

    classes: tuple[str, ...]
    images: str = ""
    model: str = "model"
    cutoffs: Cutoffs = field(default_factory=Cutoffs)

    def locate(self, file_name: str) -> str:
        """A file name behind `images`, percent-encoded where that is an http address or a query."""
        if not self.images:
            return file_name
        if self.images.startswith(("http://", "https://")) or "?" in self.images:
            file_name = quote(file_name)
        return f"{self.images.rstrip('/')}/{file_name}"


class Format(abc.ABC):
    """Writes annotations in one format.

    Class attributes:
        name: the registry name.
        path: the file or folder that it makes, relative to the folder it is given.
        needs_maps: whether it is made of the maps of candidates.
    """

    name: ClassVar[str]
    path: ClassVar[str]
    needs_maps: ClassVar[bool] = False

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


def place_in(folder: Path, file_name: str, suffix: str) -> Path:
    """The file of an image in a folder of many: its own path with another suffix, in its
    sub-folders, which are made.

    Args:
        suffix: with its dot; "" for the path as it is.

    Raises:
        ConfigError: the path leads out of the folder.
    """
    path = PurePosixPath(file_name)
    if path.is_absolute() or ".." in path.parts:
        raise ConfigError(f"{file_name!r}: leads out of the annotated folder; annotate it again")
    unpublished = folder / (path.with_suffix(suffix) if suffix else path)
    unpublished.parent.mkdir(parents=True, exist_ok=True)
    return unpublished
