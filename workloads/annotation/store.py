"""The store of an annotation: its listing, the parts of its chunks, counts and quarantine.

listing.json   what was asked: the files in their order, with model and limits
parts/         one part per chunk of the listing: the ledger
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from workloads.annotation.found import FoundImage
from workloads.annotation.listing import ListedFile, Listing
from workloads.annotation.options import Kept
from workloads.annotation.parts import ChunkResult, part_path, read_part, read_parts, write_part
from workloads.annotation.selection import Selection
from workloads.artifacts import QUARANTINE, read_json, write_text
from workloads.errors import IntegrityError
from workloads.formats.base import AnnotatedImage
from workloads.localization.cutoffs import Cutoffs
from workloads.storage.storage import storage_of

LISTING = "listing.json"
PARTS = "parts"


@dataclass(frozen=True)
class AnnotationStore:
    """Boxes of every listed file, written chunk by chunk; finished or not.

    Attributes:
        request: everything that was asked for, as it stands in `listing.json`.
    """

    folder: Path
    listing: Listing
    request: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The store in a folder, with the listing as it was sealed, not as files are now.

        Raises:
            NotFound: there is none.
        """
        request = read_json(folder / LISTING)
        files = tuple(ListedFile(*values) for values in request["files"])
        added = tuple(request.get("added", ()))
        return cls(folder, Listing(files, request["chunk_images"], added), request)

    @property
    def classes(self) -> list[str]:
        """Class names, by label."""
        names: list[str] = self.request["classes"]
        return names

    def missing(self) -> list[int]:
        """Chunks whose part is not written yet."""
        written = self._written()
        return [i for i in self.listing.chunks if self._part(i) not in written]

    def write(self, index: int, result: ChunkResult) -> None:
        """Write the part of one chunk, whole or not at all."""
        write_part(self._part(index), result)

    def results(self, *, maps: bool = True) -> Iterator[ChunkResult]:
        """All chunks in order.

        Args:
            maps: whether to read the maps, where they were kept.

        Raises:
            IntegrityError: a part is missing or is not that of its chunk.
        """
        return read_parts(self.folder / PARTS, self.listing, maps=maps)

    @property
    def model_name(self) -> str:
        """Method, backbone and the beginning of the digest."""
        model = self.request["model"]
        return f"{model['method']}-{model['backbone']}-{model['digest'][:12]}"

    @property
    def cutoffs(self) -> Cutoffs:
        """Those of the model, at which boxes were found."""
        return Cutoffs.parse(self.request["cutoffs"], f"{self.folder / LISTING}: cutoffs")

    @property
    def kept(self) -> Kept:
        """What was kept of each image."""
        return Kept.parse(self.request.get("kept"), f"{self.folder / LISTING}: kept")

    def found(self, *, maps: bool = True) -> Iterator[FoundImage]:
        """All images that were read, in the order of the listing."""
        for chunk in self.results(maps=maps):
            yield from chunk.rows

    def images(
        self, selection: Selection | None = None, *, maps: bool = True
    ) -> Iterator[AnnotatedImage]:
        """The same with the boxes of a selection, else those of the model's own threshold."""
        selection = selection or Selection.of(self.cutoffs, self.classes)
        yield from map(selection.apply, self.found(maps=maps))

    def contents(self) -> dict[int, str]:
        """Image id to the SHA-256 of its file, of all that were read so far."""
        found: dict[int, str] = {}
        written = self._written()
        for index in self.listing.chunks:
            if self._part(index) in written:
                found |= read_part(self._part(index), maps=False).contents
        return found

    def counts(self) -> dict[str, int]:
        """Files listed, read and quarantined, and boxes at the model's own threshold.

        Raises:
            IntegrityError: read + quarantined is not listed.
        """
        own = self.cutoffs.score_threshold
        read = quarantined = boxes = 0
        for chunk in self.results(maps=False):
            read += len(chunk.rows)
            quarantined += len(chunk.quarantined)
            boxes += sum(len(row.candidates.detections_at(own)) for row in chunk.rows)
        listed = len(self.listing.files)
        if read + quarantined != listed:
            raise IntegrityError(
                f"{self.folder}: {read} read and {quarantined} quarantined are not the {listed} "
                f"listed files; remove {self.folder / PARTS} and run the same command again"
            )
        return {"listed": listed, "read": read, "quarantined": quarantined, "boxes": boxes}

    def write_quarantine(self) -> None:
        """Write the list of files without annotations, JSON lines."""
        write_text(self.folder / QUARANTINE, "".join(self._quarantine_lines()))

    def _quarantine_lines(self) -> Iterator[str]:
        for chunk in self.results(maps=False):
            for file in chunk.quarantined:
                yield json.dumps(asdict(file), ensure_ascii=False) + "\n"

    def _written(self) -> set[Path]:
        """The parts that are there: one listing, as a bucket answers each question slowly."""
        return set(storage_of(self.folder).files(self.folder / PARTS))

    def _part(self, index: int) -> Path:
        return part_path(self.folder / PARTS, index)
