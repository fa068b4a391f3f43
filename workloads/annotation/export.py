"""Exports of an annotation, made from its parts alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workloads.annotation.selection import Selection
from workloads.annotation.store import AnnotationStore
from workloads.artifacts import contents, exists
from workloads.formats.base import About
from workloads.formats.registry import FORMATS


def export(
    store: AnnotationStore,
    formats: Sequence[str],
    selection: Selection | None = None,
    folder: Path | None = None,
) -> dict[str, Path]:
    """Write an annotation in some formats, each whole or not at all, in the place of an older one.

    Args:
        selection: the boxes; those of the model's own threshold if it is None.
        folder: where to; the annotation's own if it is None.

    Returns:
        Format name to the file or folder that it wrote.

    Raises:
        ConfigError: an unknown format; the message has the nearest match and all names.
        IntegrityError: a part is missing or is not that of its chunk.
        OSError: as the file system says (a full disk, say).
    """
    kinds = [FORMATS[name] for name in formats]
    about = About(tuple(store.classes), model=store.model_name)
    place = folder or store.folder
    return {k.name: k().write(store.images(selection), about, place) for k in kinds}


def exported(folder: Path) -> dict[str, Path]:
    """Format name to its file or folder, for the exports that are in an annotation."""
    places = {name: folder / kind.path for name, kind in sorted(FORMATS.items())}
    return {name: place for name, place in places.items() if _is_there(place)}


def _is_there(place: Path) -> bool:
    return exists(place) or bool(contents(place))
