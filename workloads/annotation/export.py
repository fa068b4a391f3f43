"""Exports of an annotation, made from its parts alone: neither the model nor the images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from workloads.annotation.annotation import Annotation
from workloads.annotation.review import Review
from workloads.annotation.selection import Selection
from workloads.annotation.store import AnnotationStore
from workloads.artifacts import contents, exists
from workloads.errors import ConfigError, NotFound
from workloads.formats.base import About, AnnotatedImage, Format
from workloads.formats.registry import FORMATS, USUAL
from workloads.storage.addresses import absolute, check_address


@dataclass(frozen=True, slots=True)
class Exported:
    """Files that were written, and counts.

    Attributes:
        out: the folder that it is in.
        images: with boxes or without; all that were read, but with a review of some alone.
        boxes: in all images together.
        classes: name to boxes, of those that have some, in the order of the model's.
        files: format name to the file or folder that it wrote.
    """

    out: Path
    images: int
    boxes: int
    classes: dict[str, int]
    files: dict[str, Path]


def export_annotation(
    folder: Path,
    out: Path | None = None,
    formats: Sequence[str] | None = None,
    *,
    min_score: float | None = None,
    cutoff: float | None = None,
    names: Sequence[str] = (),
    review: Path | None = None,
    reviewed_only: bool = False,
    images: str = "",
) -> Exported:
    """Write a finished annotation in some formats; it stays as it is.

    Args:
        folder: the annotation.
        out: where to; a folder beside it, named after it, if it is None.
        formats: names from FORMATS; None: the usual ones.
        min_score, cutoff, names: see `Selection.of`.
        review, reviewed_only: see `Review`.
        images: written before file names (see `About`).

    Raises:
        NotFound: no annotation is there, or it is not finished; no such review; or as `export`.
        ConfigError, IntegrityError, OSError: as `Selection.of`, `Review.read` and `export`.
    """
    folder = Annotation.open(folder).folder
    place = folder.with_name(f"{folder.name}-export") if out is None else absolute(out)
    check_address(place, "--out")
    if place.is_relative_to(folder):
        raise ConfigError(f"{place}: is in the annotation {folder}; choose an --out beside it")
    if reviewed_only and review is None:
        raise ConfigError("--reviewed-only without a review; add --review FILE")
    store = AnnotationStore.open(folder)
    said = None
    if review is not None:
        said = Review.read(review, store.model_name, store.classes, reviewed_only=reviewed_only)
    selection = Selection.of(
        store.cutoffs, store.classes,
        min_score=min_score, cutoff=cutoff, names=names, review=said,
    )  # fmt: skip
    return export(store, formats or USUAL, selection, place, images)


def export(
    store: AnnotationStore,
    formats: Sequence[str],
    selection: Selection | None = None,
    folder: Path | None = None,
    images: str = "",
) -> Exported:
    """Write an annotation in some formats, each whole or not at all, in the place of an older one.

    Args:
        selection: the boxes; those of the model's own threshold if it is None.
        folder: where to; the annotation's own if it is None.
        images: written before file names (see `About`).

    Raises:
        ConfigError: an unknown format (the message has the nearest match and all names), a score
            below what was kept, or a review of other images or boxes.
        NotFound: a format or a cut-off needs maps, which were not kept.
        IntegrityError: a part is missing or is not that of its chunk.
        OSError: as the file system says (a full disk, say).
    """
    kinds = [FORMATS[name] for name in dict.fromkeys(formats)]
    selection = selection or Selection.of(store.cutoffs, store.classes)
    _require_kept(store, kinds, selection)
    if selection.review is not None:
        _check_review(store, selection)
    cutoffs = selection.recut or store.cutoffs
    about = About(tuple(store.classes), images, store.model_name, cutoffs)
    place, files = folder or store.folder, dict[str, Path]()
    counts = _Counts(len(store.classes))
    for kind in kinds:
        maps = kind.needs_maps or selection.recut is not None
        rows = store.images(selection, maps=maps)
        # One pass counts for all.
        rows = rows if files else counts.of(rows)
        files[kind.name] = kind().write(rows, about, place)
    return counts.exported(place, store.classes, files)


def exported(folder: Path) -> dict[str, Path]:
    """Format name to its file or folder, for the exports that are in an annotation."""
    places = {name: folder / kind.path for name, kind in sorted(FORMATS.items())}
    return {name: place for name, place in places.items() if _is_there(place)}


@dataclass
class _Counts:
    """Images and boxes that went by."""

    num_classes: int
    images: int = 0
    labels: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.labels = np.zeros(self.num_classes, np.int64)

    def of(self, rows: Iterable[AnnotatedImage]) -> Iterator[AnnotatedImage]:
        for row in rows:
            self.images += 1
            for label in row.detections.labels.tolist():
                self.labels[label] += 1
            yield row

    def exported(self, out: Path, classes: Sequence[str], files: dict[str, Path]) -> Exported:
        counts = self.labels.tolist()
        some = {name: count for name, count in zip(classes, counts, strict=True) if count}
        return Exported(out, self.images, sum(counts), some, files)


def _require_kept(
    store: AnnotationStore, kinds: Sequence[type[Format]], selection: Selection
) -> None:
    """Refuse what the store has not kept, before anything is written."""
    kept = store.kept
    wanted = [f"format {kind.name}" for kind in kinds if kind.needs_maps]
    wanted += ["a cut-off other than the model's"] if selection.recut is not None else []
    if wanted and not kept.maps:
        raise NotFound(
            f"{store.folder}: was made without maps, which {wanted[0]} needs; annotate again with "
            "--set annotate.maps=true to another --out"
        )
    least = min(kept.min_score, store.cutoffs.score_threshold)
    if not selection.min_score >= least:  # nor NaN
        raise ConfigError(
            f"--min-score {selection.min_score:g} is below {least:g}, from which classes were "
            f"kept; give at least that, or annotate again with --set "
            f"annotate.min_score={selection.min_score:g} to another --out"
        )


def _check_review(store: AnnotationStore, selection: Selection) -> None:
    assert selection.review is not None
    found = store.found(maps=selection.recut is not None)
    if (cutoffs := selection.recut) is not None:
        found = (replace(one, candidates=one.candidates.recut(cutoffs)) for one in found)
    selection.review.check(found)


def _is_there(place: Path) -> bool:
    return exists(place) or bool(contents(place))
