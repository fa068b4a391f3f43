"""The store of an annotation: its listing, the parts of its chunks, counts and quarantine.

listing.json     what was asked: model, limits, what is kept; and where the listing is
listing-0000/    the files in their order; another number after each change of the folder
parts/           one part per chunk of the listing: the ledger
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np

from workloads.annotation.changes import Changes, compared
from workloads.annotation.found import FoundImage
from workloads.annotation.listing import ListedFile, Listing, write_listing
from workloads.annotation.options import Kept
from workloads.annotation.parts import (
    HISTOGRAM_BINS,
    ChunkResult,
    part_path,
    read_chunk,
    read_part,
    read_parts,
    summaries,
    write_part,
)
from workloads.annotation.selection import Selection
from workloads.annotation.sources.base import Source
from workloads.artifacts import (
    QUARANTINE,
    atomic_file,
    exists,
    read_json,
    remove,
    unseal,
    write_json,
)
from workloads.formats.base import AnnotatedImage
from workloads.localization.cutoffs import Cutoffs
from workloads.storage.storage import storage_of

LISTING = "listing.json"
PARTS = "parts"


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of a finished annotation, of the files that are there.

    Attributes:
        listed: `read` + `quarantined`.
        gone: files that were listed once and are not there any more.
        boxes: of the classes that reach the model's own threshold.
        classes: name to boxes, of those that have some.
        score_histogram: class scores of all candidates, see `HISTOGRAM_BINS`.
    """

    listed: int
    read: int
    quarantined: int
    gone: int
    boxes: int
    classes: dict[str, int]
    score_histogram: list[int]


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
        """The store in a folder, with the listing as it was written, not as files are now.

        Raises:
            NotFound: there is none.
        """
        request = read_json(folder / LISTING)
        files = folder / request["files"]
        listing = Listing(files, request["chunk_images"], tuple(request["batches"]))
        return cls(folder, listing, request)

    @classmethod
    def begin(cls, folder: Path, request: dict[str, Any], files: Iterable[ListedFile]) -> Self:
        """Start a store with the files of a first listing."""
        name = _listing_name(0)
        written = write_listing(folder / name, files)
        facts = {"files": name, "batches": [written.files], "listed": written.digest}
        write_json(folder / LISTING, {**request, **facts})
        return cls.open(folder)

    def follow(self, source: Source) -> tuple[Self, Changes]:
        """The store of a source that changed: new files behind the others, those gone marked."""
        with compared(self.listing, source, self.content_of) as comparison:
            changes = comparison.changes
            if not changes:
                return self, changes
            unseal(self.folder)
            old = self.request["files"]
            name = _listing_name(int(old.rpartition("-")[2]) + 1)
            written = comparison.write(self.folder / name)
        batches = [*self.listing.batches, *([changes.new] if changes.new else [])]
        facts = {"files": name, "batches": batches, "listed": written.digest}
        write_json(self.folder / LISTING, {**self.request, **facts})
        for path in storage_of(self.folder).files(self.folder / old):
            remove(path)
        return type(self).open(self.folder), changes

    def first_other(self, source: Source) -> str | None:
        """A file of the listing that a source does not hold as it was, if the first or last is so.

        All of them would take as long as listing the folder again.
        """
        files = self.listing
        ends = (next(files.files(), None), next(files.files(files.total - 1), None))
        for place, file in zip((1, files.total), ends, strict=True):
            if file and not file.gone and not source.is_there(file, self.content_of(place)):
                return file.name
        return None

    @property
    def listing_key(self) -> tuple[Any, ...]:
        """Equal for stores of the same files in the same chunks."""
        return self.request["listed"], self.request["chunk_images"], *self.request["batches"]

    @property
    def classes(self) -> list[str]:
        """Class names, by label."""
        names: list[str] = self.request["classes"]
        return names

    def missing(self) -> list[int]:
        """Chunks whose part is not written yet."""
        written = self._written()
        return [i for i in self.listing.chunks if self._part(i) not in written]

    def is_missing(self, index: int) -> bool:
        """Whether the part of one chunk is not written yet."""
        return not exists(self._part(index))

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

    def chunk(self, index: int, *, maps: bool = True) -> ChunkResult:
        """One chunk, as `results` gives it.

        Raises:
            IntegrityError: its part is missing or is not its own.
        """
        return read_chunk(self.folder / PARTS, self.listing, index, maps=maps)

    @property
    def model_name(self) -> str:
        """Method, backbone and the beginning of the digest."""
        model = self.request["model"]
        return f"{model['method']}-{model['backbone']}-{model['digest'][:12]}"

    @property
    def cutoffs(self) -> Cutoffs:
        """The model's cut-offs, at which boxes were found."""
        return Cutoffs.parse(self.request["cutoffs"], f"{self.folder / LISTING}: cutoffs")

    @property
    def kept(self) -> Kept:
        """Choice of what was kept of each image."""
        return Kept.parse(self.request.get("kept"), f"{self.folder / LISTING}: kept")

    def found(self, *, maps: bool = True) -> Iterator[FoundImage]:
        """All images that were read, in the order of the listing."""
        for chunk in self.results(maps=maps):
            yield from chunk.rows

    def images(
        self, selection: Selection | None = None, *, maps: bool = True
    ) -> Iterator[AnnotatedImage]:
        """Images of a selection with its boxes, else all with those of the model's threshold."""
        selection = selection or Selection.of(self.cutoffs, self.classes)
        for found in self.found(maps=maps):
            if selection.shows(found.image_id):
                yield selection.apply(found)

    def content_of(self, image_id: int) -> str | None:
        """SHA-256 of a file as it was read; None if it was not."""
        path = self._part(self.listing.chunk_of(image_id))
        return _contents(path).get(image_id) if exists(path) else None

    def tally(self) -> Tally:
        """Count files and boxes at the model's own threshold; write the list of what was not read.

        Raises:
            IntegrityError: a part is missing or is not that of its chunk.
        """
        read = quarantined = 0
        boxes = np.zeros(len(self.classes), np.int64)
        scores = np.zeros(HISTOGRAM_BINS, np.int64)
        path, own = self.folder / QUARANTINE, self.cutoffs.score_threshold
        with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as out:
            for chunk in summaries(self.folder / PARTS, self.listing, len(boxes), own):
                read, boxes, scores = read + chunk.read, boxes + chunk.boxes, scores + chunk.scores
                quarantined += len(chunk.quarantined)
                for file in chunk.quarantined:
                    out.write(json.dumps(asdict(file), ensure_ascii=False) + "\n")
        listed, by_class = read + quarantined, zip(self.classes, boxes.tolist(), strict=True)
        return Tally(
            listed=listed,
            read=read,
            quarantined=quarantined,
            gone=self.listing.total - listed,
            boxes=int(boxes.sum()),
            classes={name: count for name, count in by_class if count},
            score_histogram=scores.tolist(),
        )

    def _written(self) -> set[Path]:
        """The parts that are there: one listing, as a bucket answers each question slowly."""
        return set(storage_of(self.folder).files(self.folder / PARTS))

    def _part(self, index: int) -> Path:
        return part_path(self.folder / PARTS, index)


def _listing_name(generation: int) -> str:
    return f"listing-{generation:04d}"


@lru_cache(maxsize=4)
def _contents(part: Path) -> Mapping[int, str]:
    return read_part(part, maps=False).contents
