"""The store of an annotation and its exports, without any model or cluster."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_candidates import found_image

from workloads.annotation.export import export, exported
from workloads.annotation.listing import ListedFile
from workloads.annotation.parts import ChunkResult, QuarantinedFile
from workloads.annotation.store import AnnotationStore, Tally
from workloads.artifacts import QUARANTINE
from workloads.detections import Detections
from workloads.errors import ConfigError, IntegrityError
from workloads.formats.registry import FORMATS

MODEL = {
    "model": {"method": "any", "backbone": "any", "digest": "0" * 64},
    "cutoffs": {"score_threshold": 0.1},
    "kept": {"maps": True},
}
NAMES = ["a.jpg", "b 'ü'.jpg", "c\n.jpg", "d.jpg", "notes.txt"]


def new_store(folder: Path, chunk_images: int = 2) -> AnnotationStore:
    request = {"chunk_images": chunk_images, "classes": ["cat", "dog"], **MODEL}
    return AnnotationStore.begin(folder, request, (ListedFile(name, 10, 0) for name in NAMES))


def found(boxes: int) -> Detections:
    corners = np.array([[i, 0, i + 5, 5] for i in range(boxes)], np.float32).reshape(-1, 4)
    scores = np.linspace(0.9, 0.1, boxes).astype(np.float32)
    return Detections(corners, scores, np.zeros(boxes, np.int32), 64, 48)


def result(store: AnnotationStore, index: int) -> ChunkResult:
    """Images get as many boxes as their id; what is no image is quarantined."""
    numbered = list(enumerate(store.listing.chunk(index), start=store.listing.first_id(index)))
    images = [(i, f.name) for i, f in numbered if f.name.endswith("jpg")]
    others = [(i, f.name) for i, f in numbered if not f.name.endswith("jpg")]
    return ChunkResult(
        tuple(found_image(i, name, found(i), maps=True) for i, name in images),
        tuple(QuarantinedFile(i, name, "not an image") for i, name in others),
    )


def filled(folder: Path, chunk_images: int = 2) -> AnnotationStore:
    store = new_store(folder, chunk_images)
    for index in store.missing():
        store.write(index, result(store, index))
    return store


def test_chunks_are_missing_until_their_part_is_written(tmp_path):
    store = new_store(tmp_path)
    assert store.missing() == [0, 1, 2]
    store.write(1, result(store, 1))
    assert store.missing() == [0, 2]
    with pytest.raises(IntegrityError):
        store.tally()


def test_every_file_is_counted_once(tmp_path):
    store = filled(tmp_path)
    counts = {"listed": 5, "read": 4, "quarantined": 1, "gone": 0, "boxes": 1 + 2 + 3 + 4}
    # Images 1 to 4 have as many boxes of class "cat" as their id, with the score of the image.
    histogram = np.bincount([min(int(s * 20), 19) for s in _scores(store)], minlength=20)
    expected = Tally(**counts, classes={"cat": 10}, score_histogram=histogram.tolist())
    assert store.tally() == expected
    assert [image.file_name for image in store.images()] == NAMES[:4]
    (line,) = (tmp_path / QUARANTINE).read_text("utf-8").splitlines()
    assert json.loads(line)["path"] == "notes.txt"


def _scores(store: AnnotationStore) -> list[float]:
    """Scores of all candidates, read another way."""
    tables = [pq.read_table(path) for path in sorted((store.folder / "parts").rglob("*.parquet"))]
    return [score for table in tables for row in table["class_scores"].to_pylist() for score in row]


@given(chunk_images=st.integers(1, 6))
def test_exports_do_not_depend_on_the_chunks(tmp_path_factory, chunk_images):
    one, other = (tmp_path_factory.mktemp("a") for _ in range(2))
    first = export(filled(one), sorted(FORMATS)).files
    second = export(filled(other, chunk_images), sorted(FORMATS)).files
    assert list(first) == sorted(FORMATS)
    assert list(map(written, first.values())) == list(map(written, second.values()))


def written(place: Path) -> dict[str, bytes]:
    """Path to content of a file, or of all files in a folder."""
    files = sorted(place.rglob("*")) if place.is_dir() else [place]
    return {str(p.relative_to(place)): p.read_bytes() for p in files if p.is_file()}


def test_what_is_exported_is_known_from_the_folder(tmp_path):
    store = filled(tmp_path)
    assert exported(tmp_path) == {}
    made = export(store, ["parquet"])
    assert exported(tmp_path) == made.files == {"parquet": tmp_path / "annotations.parquet"}
    export(store, ["coco"])
    assert list(exported(tmp_path)) == ["coco", "parquet"]


def test_an_unknown_format_writes_nothing(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'coco'"):
        export(filled(tmp_path), ["parquet", "cocoo"])
    assert exported(tmp_path) == {}
