"""Chunks and their parts: every listed file is counted exactly once, killed or not."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_candidates import Finding
from PIL import Image
from pyarrow.parquet import ParquetWriter

from workloads.annotation import chunk
from workloads.annotation.chunk import ChunkWork
from workloads.annotation.listing import Listing, write_listing
from workloads.annotation.options import Kept
from workloads.annotation.parts import ChunkResult, part_path, read_part, read_parts, write_part
from workloads.annotation.sources.folder import Folder, walk
from workloads.detections import Detections
from workloads.errors import IntegrityError
from workloads.images.decode import ImageLimits

LIMITS = ImageLimits(max_bytes=100_000, max_pixels=10_000)


class BrightestCorner(Finding):
    """A detector whose box depends on the pixels alone; a black image has none."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def detect(self, images):
        self.batches.append(len(images))
        return [self._one(image) for image in images]

    def _one(self, image) -> Detections:
        height, width = image.shape[:2]
        count = 0 if image.max() == 0 else 1
        corner = np.asarray([[0, 0, 1 + image[0, 0, 0] % width, height]], np.float32)
        return Detections(
            corner[:count],
            np.full(count, image.max() / 255 / 3, np.float32),
            np.full(count, int(image[0, 0, 1]) % 3, np.int32),
            width,
            height,
        )


def png(seed: int, width: int = 20, height: int = 10) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels * (seed % 4 > 0)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path) -> Path:
    """23 files: 18 images (every fourth black) and five that cannot be used."""
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(18):
        (folder / f"image '{i:02d}'\n.png").write_bytes(png(i))
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "notes.txt").write_text("not an image")
    (folder / "cut.png").write_bytes(png(99)[:200])
    (folder / "wide.png").write_bytes(png(98, width=200, height=100))
    (folder / "broken").symlink_to("nothing")
    return folder


@pytest.fixture
def listing(folder) -> Listing:
    return listed(folder, 5)


def listed(folder: Path, chunk_images: int) -> Listing:
    place = folder.parent / "listing"
    return Listing(place, chunk_images, (write_listing(place, walk(folder)).files,))


def whole(folder, listing) -> ChunkResult:
    """All files as one chunk."""
    work = ChunkWork((BrightestCorner(),), Folder(folder), LIMITS, Kept())
    return work.annotate(listing.files(), 1)[0]


def annotate(folder, listing, parts, index) -> None:
    chunk = listing.chunk(index)
    result = ChunkWork((BrightestCorner(),), Folder(folder), LIMITS, Kept()).annotate(
        chunk, listing.first_id(index)
    )[0]
    write_part(part_path(parts, index), result)


def test_chunks_cover_the_listing_once(listing):
    files = [file for index in listing.chunks for file in listing.chunk(index)]
    assert files == list(listing.files())
    assert [listing.chunk_of(n) for n in range(1, 24)] == [(n - 1) // 5 for n in range(1, 24)]
    assert list(map(listing.size, listing.chunks)) == [5, 5, 5, 5, 3]
    assert [len(listing.chunk(i)) for i in listing.chunks] == [5, 5, 5, 5, 3]
    assert [listing.first_id(i) for i in listing.chunks] == [1, 6, 11, 16, 21]


def test_an_empty_listing_has_no_chunks(tmp_path):
    assert list(Listing(tmp_path, 5, ()).chunks) == []


def test_the_digest_sees_a_changed_file(folder):
    place = folder.parent / "again"
    before = write_listing(place, walk(folder)).digest
    assert write_listing(place, walk(folder)).digest == before
    (folder / "empty.jpg").write_bytes(b"no longer")
    assert write_listing(place, walk(folder)).digest != before


def test_read_and_quarantined_are_all_that_was_listed(folder, listing):
    result = whole(folder, listing)
    reasons = {q.path: q.reason for q in result.quarantined}
    assert sorted(reasons) == ["broken", "cut.png", "empty.jpg", "notes.txt", "wide.png"]
    assert "empty" in reasons["empty.jpg"]
    assert "not an image" in reasons["notes.txt"]
    assert "200x100" in reasons["wide.png"]
    assert all("\n" not in reason for reason in reasons.values())
    assert len(result.rows) == 18
    by_id = {row.image_id: row.file_name for row in result.rows}
    by_id |= {entry.image_id: entry.path for entry in result.quarantined}
    assert by_id == {i: file.name for i, file in enumerate(listing.files(), start=1)}
    assert sum(len(row.candidates.detections) for row in result.rows) == 13


def test_batches_are_bounded_by_images_and_by_pixels(folder, listing, monkeypatch):
    detector = BrightestCorner()
    ChunkWork((detector,), Folder(folder), LIMITS, Kept()).annotate(list(listing.files()), 1)
    assert detector.batches == [16, 2]
    monkeypatch.setattr(chunk, "BATCH_PIXELS", 500)
    detector = BrightestCorner()
    ChunkWork((detector,), Folder(folder), LIMITS, Kept()).annotate(list(listing.files()), 1)
    assert detector.batches == [3] * 6


def test_an_error_of_the_machine_is_not_the_files_fault(folder, listing, monkeypatch):
    def broken(source, file, limits):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Folder, "read", broken)
    with pytest.raises(OSError, match="Input/output error"):
        whole(folder, listing)


def test_a_part_is_what_was_written(folder, listing, tmp_path):
    result = whole(folder, listing)
    write_part(tmp_path / "part", result)
    again = read_part(tmp_path / "part")
    assert again.quarantined == result.quarantined
    assert [(r.image_id, r.file_name) for r in again.rows] == [
        (r.image_id, r.file_name) for r in result.rows
    ]
    for ours, theirs in zip(again.rows, result.rows, strict=True):
        found, given = ours.candidates, theirs.candidates
        columns = [(found.detections, given.detections, "boxes_xyxy scores labels")]
        columns.append((found, given, "labels scores points_xy"))
        for one, other, names in columns:
            for name in names.split():
                a, b = getattr(one, name), getattr(other, name)
                np.testing.assert_array_equal(a, b)
                assert a.dtype == b.dtype
        assert (found.detections.width, found.detections.height) == (20, 10)
        assert (ours.orientation, found.maps) == (1, None)


def test_parts_are_the_same_in_any_order_and_after_a_repeat(folder, listing, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for index in listing.chunks:
        annotate(folder, listing, first, index)
    for index in [3, 0, 4, 3, 1, 2, 0]:
        annotate(folder, listing, second, index)
    names = sorted(p.relative_to(first) for p in first.rglob("*.parquet"))
    assert names == sorted(p.relative_to(second) for p in second.rglob("*.parquet"))
    assert len(names) == len(listing.chunks)
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes()
    files = [f for part in read_parts(first, listing) for f in (*part.rows, *part.quarantined)]
    assert sorted(f.image_id for f in files) == list(range(1, 24))


def test_a_missing_part_is_said(folder, listing, tmp_path):
    for index in [0, 1, 3, 4]:
        annotate(folder, listing, tmp_path / "parts", index)
    with pytest.raises(IntegrityError, match=r"part-000002\.parquet: not a readable part"):
        list(read_parts(tmp_path / "parts", listing))


@pytest.mark.parametrize("harm", ["cut", "other"])
def test_a_wrong_part_is_said(folder, listing, tmp_path, harm):
    parts = tmp_path / "parts"
    for index in listing.chunks:
        annotate(folder, listing, parts, index)
    content = part_path(parts, 1).read_bytes()
    if harm == "cut":
        part_path(parts, 1).write_bytes(content[: len(content) // 2])
    else:
        part_path(parts, 1).write_bytes(part_path(parts, 0).read_bytes())
    with pytest.raises(IntegrityError, match=r"part-000001\.parquet.*remove it"):
        list(read_parts(parts, listing))


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("boxes_xyxy", [0.0, 0.0, 99.0, 9.0]),  # outside of the image
        ("boxes_xyxy", [0.0, 0.0, 9.0]),
        ("scores", []),
        ("class_scores", [0.5, 0.4]),
    ],
)
def test_a_part_with_boxes_that_cannot_be_is_said(folder, listing, tmp_path, column, values):
    parts = tmp_path / "parts"
    annotate(folder, listing, parts, 0)
    table = pq.read_table(part_path(parts, 0))
    rows = table.to_pylist()
    harmed = next(row for row in rows if len(row["labels"]) == 1)
    harmed[column] = values
    pq.write_table(table.from_pylist(rows, schema=table.schema), part_path(parts, 0))
    with pytest.raises(IntegrityError, match=r"part-000000\.parquet: not a readable part.*remove"):
        read_part(part_path(parts, 0))


def test_a_failed_write_leaves_no_part(folder, listing, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ParquetWriter, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        annotate(folder, listing, tmp_path / "parts", 0)
    assert not list((tmp_path / "parts").rglob("*part*"))
