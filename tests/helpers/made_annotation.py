"""A finished annotation of images made by hand, without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from workloads.annotation.annotation import Annotation
from workloads.annotation.found import FoundImage
from workloads.annotation.parts import ChunkResult, QuarantinedFile
from workloads.annotation.sources.registry import open_source
from workloads.annotation.store import AnnotationStore
from workloads.artifacts import seal
from workloads.detections import Detections
from workloads.localization.candidates import Candidates, Maps

Box = tuple[int, float, tuple[float, float, float, float]]
"""Label, score, corners."""


def made_photo(path: Path, seed: int = 0, size: tuple[int, int] = (64, 48)) -> Path:
    """A photograph of noise; `size` is its width and height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def candidates(
    classes: Mapping[int, float],
    boxes: Sequence[Box] = (),
    size: tuple[int, int] = (64, 48),
    maps: Sequence[Maps] | None = None,
) -> Candidates:
    """Class scores by label, and boxes; the point of every class is (3, 4)."""
    labels = sorted(classes)
    return Candidates(
        labels=np.array(labels, np.int32),
        scores=np.array([classes[k] for k in labels], np.float32),
        points_xy=np.tile(np.array([[3, 4]], np.float32), (len(labels), 1)),
        detections=Detections(
            np.array([box for _, _, box in boxes], np.float32).reshape(-1, 4),
            np.array([score for _, score, _ in boxes], np.float32),
            np.array([label for label, _, _ in boxes], np.int32),
            *size,
        ),
        maps=None if maps is None else tuple(maps),
    )


def made_annotation(
    folder: Path,
    images: Path,
    found: Mapping[str, Candidates],
    classes: Sequence[str] = ("cat", "dog"),
    *,
    chunk_images: int = 2,
    threshold: float = 0.5,
    model: str = "0",
    finished: bool = True,
) -> AnnotationStore:
    """The annotation of a folder; files that nothing is said of are quarantined."""
    request = {
        "model": {"method": "any", "backbone": "any", "digest": model * 64},
        "classes": list(classes),
        "cutoffs": {"score_threshold": threshold},
        "chunk_images": chunk_images,
    }
    store = AnnotationStore.begin(folder, request, open_source(images).files())
    for index in store.listing.chunks:
        store.write(index, chunk_of(store, index, images, found))
    if finished:
        facts = {"formats": [], "images_per_s": 1.0, **asdict(store.tally())}
        seal(folder, kind=Annotation.kind, model=request["model"], **facts)
    return store


def chunk_of(
    store: AnnotationStore, index: int, images: Path, found: Mapping[str, Candidates]
) -> ChunkResult:
    """The part of one chunk."""
    source = open_source(images)
    files = list(enumerate(store.listing.chunk(index), start=store.listing.first_id(index)))
    content = {i: source.content(f) for i, f in files}
    return ChunkResult(
        tuple(FoundImage(i, f.name, 1, found[f.name]) for i, f in files if f.name in found),
        tuple(QuarantinedFile(i, f.name, "bad") for i, f in files if f.name not in found),
        content,
    )
