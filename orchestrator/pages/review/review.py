"""`wsol review`: a folder to look through an annotation with, and to say what is right."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config.settings import Machine
from orchestrator.config.workspace import Workspace
from orchestrator.engine.progress import Progress, say
from orchestrator.pages.review.entry import entry_of
from orchestrator.pages.review.files import INDEX, NAMES, SCRIPT, About, ReviewFolder
from orchestrator.pages.review.pictures import thumbnail
from workloads.annotation.annotation import Annotation
from workloads.annotation.listing import ListedFile
from workloads.annotation.order import ORDERS, Look, OtherStore, first_images
from workloads.annotation.parts import QuarantinedFile
from workloads.annotation.sources.registry import open_source
from workloads.annotation.store import LISTING, AnnotationStore
from workloads.artifacts import atomic_folder, digest, exists, is_sealed
from workloads.errors import ConfigError, Conflict, InputRejected, NotFound, unknown_name
from workloads.files import entries, there
from workloads.images.decode import ImageLimits, decode
from workloads.storage.addresses import absolute, check_address

_WORDS = {
    "uncertain": "the most uncertain first",
    "class": "by class",
    "score": "the best score first",
    "disagreement": "where the two annotations differ most first",
}


@dataclass(frozen=True, slots=True)
class ReviewOptions:
    """Choice and order of the images of a review.

    Attributes:
        by: a name from ORDERS; None: disagreement if there is another store, else uncertain.
        other: an annotation of the same images by another model.
        limit: most images; 0 for all.
        page_size: images that the browser loads at once.
        min_score: class score from which a class counts as present; None: the model's own.
    """

    by: str | None = None
    other: Path | None = None
    limit: int = 1000
    page_size: int = 50
    min_score: float | None = None

    @property
    def order(self) -> str:
        """The order by its name.

        Raises:
            ConfigError: there is no such order, or it needs another store.
        """
        order = self.by or ("disagreement" if self.other else "uncertain")
        if order not in ORDERS:
            raise ConfigError(unknown_name("order", order, ORDERS))
        if order == "disagreement" and self.other is None:
            raise ConfigError(
                "--by disagreement compares two annotations of the same images; give the second "
                "one as --other STORE"
            )
        return order


@dataclass(frozen=True, slots=True)
class ReviewResult:
    """A review that was written. `listed` is always `read + quarantined`.

    Attributes:
        page: the file to open.
        listed: images that were chosen.
        read: images that are shown.
        quarantined: images that could not be shown; they stand in `quarantine.jsonl`.
        bytes_per_image: thumbnail and share of a page, on average.
    """

    out: Path
    page: Path
    order: str
    min_score: float
    pages: int
    listed: int
    read: int
    quarantined: int
    bytes_per_image: int


def review(
    machine: Machine,
    folder: Path,
    images: Path,
    out: Path | None = None,
    options: ReviewOptions | None = None,
) -> ReviewResult:
    """Write the review of a finished annotation.

    Args:
        folder: the annotation.
        images: the collection that was annotated.
        out: folder of the review, replaced as a whole; None for one in the workspace.

    Raises:
        NotFound: no finished annotation, no image in it, or not one of them in `images`.
        ConfigError: an unknown order, or one that lacks its other store.
        Conflict: `out` holds something else.
        IntegrityError: a part of the annotation is damaged.
    """
    options = options or ReviewOptions()
    order = options.order
    check_address(images, "--images")
    return _Review(machine, open_store(folder), images, options, order).write(out)


def open_store(folder: Path) -> AnnotationStore:
    """The store of a finished annotation.

    Raises:
        NotFound: there is none, or it is not finished.
    """
    check_address(folder, "the annotation")
    folder = absolute(folder)
    if exists(folder / LISTING) and not is_sealed(folder):
        raise NotFound(
            f"{folder}: an annotation that is not finished; run the same wsol annotate again"
        )
    Annotation.open(folder)
    return AnnotationStore.open(folder)


class _Review:
    """One review while it is made."""

    def __init__(
        self,
        machine: Machine,
        store: AnnotationStore,
        images: Path,
        options: ReviewOptions,
        order: str,
    ) -> None:
        self.machine = machine
        self.store = store
        self.source = open_source(absolute(images))
        self.options = options
        self.order = order
        self.cutoffs = store.cutoffs
        self.limits = ImageLimits.parse(store.request.get("limits"), str(store.folder / LISTING))
        own = self.cutoffs.score_threshold
        self.min_score = own if options.min_score is None else options.min_score
        self.other = _other(options.other, store)
        self.classes = self.other.classes if self.other else store.classes

    def write(self, out: Path | None) -> ReviewResult:
        """Choose the images, and write the folder, whole or not at all."""
        key = _key(self.store)
        out = absolute(out or Workspace(self.machine.workspace).review(key))
        _require_free(out)
        chosen, read = self._choose()
        about = self._about(key, read)
        with atomic_folder(out) as place, ReviewFolder(place) as made:
            self._add_images(made, set(chosen))
            self._require_some(made, chosen)
            pages = made.finish(chosen, self.options.page_size, about)
            return ReviewResult(
                out=out,
                page=out / INDEX,
                order=self.order,
                min_score=self.min_score,
                pages=pages,
                listed=len(chosen),
                read=len(made),
                quarantined=len(made.left_out),
                bytes_per_image=round(made.bytes / len(made)),
            )

    def _choose(self) -> tuple[list[int], int]:
        """Ids of the images to show, in order, and how many the store has."""
        read = shared = 0

        def counted() -> Iterator[Look]:
            nonlocal read, shared
            for _, look, _ in self._looks():
                read += 1
                shared += look.other is not None
                yield look

        chosen = first_images(counted(), self.order, self.options.limit or None)
        if not read:
            raise NotFound(f"{self.store.folder}: holds no image that was read; nothing to review")
        if self.other and not shared:
            raise NotFound(
                f"{self.options.other}: holds none of the {read} images of {self.store.folder}; "
                "give an annotation of the same folder"
            )
        if self.other and shared < read:
            say(f"wsol: {read - shared} of {read} images are not in {self.options.other}")
        return chosen, read

    def _looks(
        self, chosen: set[int] | None = None
    ) -> Iterator[tuple[ListedFile, Look, str | None]]:
        """Images in the order of the store, with their content, chunk by chunk."""
        listing = self.store.listing
        chunks = listing.chunks if chosen is None else sorted(set(map(listing.chunk_of, chosen)))
        for index in chunks:
            chunk, files, first = (
                self.store.chunk(index), listing.chunk(index), listing.first_id(index),
            )  # fmt: skip
            for found in chunk.rows:
                if chosen is None or found.image_id in chosen:
                    content = chunk.contents.get(found.image_id)
                    name = found.file_name
                    theirs = self.other.boxes_of(name, content) if self.other else None
                    look = Look(found, self.min_score, theirs)
                    yield files[found.image_id - first], look, content

    def _add_images(self, made: ReviewFolder, chosen: set[int]) -> None:
        with Progress(len(chosen), "images", "review") as progress:
            for file, look, content in self._looks(chosen):
                try:
                    picture = self._thumbnail(file, content)
                except InputRejected as error:
                    left_out = QuarantinedFile(look.found.image_id, file.name, str(error))
                    made.left_out.append(left_out)
                else:
                    made.add(entry_of(look, self.cutoffs, self.classes), picture)
                progress.advance(1)

    def _thumbnail(self, file: ListedFile, content: str | None) -> bytes:
        data = self.source.read(file, self.limits)
        if hashlib.sha256(data).hexdigest() != content:
            raise InputRejected("another image than was annotated; restore it, or annotate again")
        return thumbnail(decode(data, self.limits))

    def _require_some(self, made: ReviewFolder, chosen: list[int]) -> None:
        if not len(made):
            first = made.left_out[0]
            raise NotFound(
                f"{self.source.path}: holds none of the {len(chosen)} images ({first.path}: "
                f"{first.reason}); give the collection that {self.store.folder} annotates"
            )

    def _about(self, key: str, read: int) -> About:
        return About(
            key=key,
            model=self.store.model_name,
            min_score=self.min_score,
            ordered=_WORDS[self.order],
            classes=tuple(self.store.classes),
            read=read,
            other=self.other.model_name if self.other else None,
        )


def _other(folder: Path | None, store: AnnotationStore) -> OtherStore | None:
    return OtherStore(open_store(folder), store.classes) if folder else None


def _key(store: AnnotationStore) -> str:
    """A name of the model and its images; what is added, renamed or gone later changes nothing."""
    first = [file.in_part for file in store.listing.chunk(0)] if store.listing.total else []
    facts = {"first": first, "files": store.listing.batches[:1]}
    return digest({"model": store.request["model"]["digest"], **facts})[:16]


def _require_free(out: Path) -> None:
    """Raise Conflict unless replacing the folder loses nothing but an earlier review."""
    names = {path.name for path in entries(out)}
    if {INDEX, SCRIPT} <= names and names <= NAMES:
        return
    if there(out):
        raise Conflict(f"{out}: holds something else; choose another --out or remove it")
