"""One chunk: batches at their limits, ids that do not move, files that are never opened."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_candidates import Finding
from PIL import Image

from workloads.annotation import chunk
from workloads.annotation.chunk import ChunkWork, in_order
from workloads.annotation.listing import ListedFile
from workloads.annotation.options import Kept
from workloads.annotation.sources.folder import Folder
from workloads.detections import Detections
from workloads.images.decode import ImageLimits

LIMITS = ImageLimits()


class Whole(Finding):
    """A detector whose box is the image; it remembers the sizes of its batches."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[int, int]]] = []

    def detect(self, images):
        self.batches.append([image.shape[:2] for image in images])
        return [
            Detections(
                np.array([[0, 0, w, h]], np.float32), np.ones(1, np.float32),
                np.zeros(1, np.int32), w, h,
            )
            for h, w in (image.shape[:2] for image in images)
        ]  # fmt: skip


def png(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height)).save(stream, "PNG")
    return stream.getvalue()


def listed(name: str, refused: str | None = None) -> ListedFile:
    return ListedFile(name, 1, 0, refused)


@settings(max_examples=40)
@given(st.lists(st.none() | st.integers(1, 9), max_size=12), st.integers(1, 5), st.integers(1, 20))
def test_every_file_has_its_id_and_batches_keep_the_order(
    widths: list[int | None], images: int, pixels: int
) -> None:
    """None is a file that is refused; the others are images of one row."""
    files = [listed(f"{i}", "no" if w is None else None) for i, w in enumerate(widths)]
    detector = Whole()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunk, "BATCH_IMAGES", images)
        patch.setattr(chunk, "BATCH_PIXELS", pixels)
        patch.setattr(Folder, "read", lambda _, file, __: png(widths[int(file.name)] or 0, 1))
        result = ChunkWork((detector,), Folder(Path("x")), LIMITS, Kept()).annotate(files, 50)[0]
    good = [(50 + i, str(i), w) for i, w in enumerate(widths) if w is not None]
    assert [(r.image_id, r.file_name, r.candidates.detections.width) for r in result.rows] == good
    assert [(q.image_id, q.path, q.reason) for q in result.quarantined] == [
        (50 + i, str(i), "no") for i, w in enumerate(widths) if w is None
    ]
    assert [w for batch in detector.batches for _, w in batch] == [w for *_, w in good]
    for batch in detector.batches:
        assert 1 <= len(batch) <= images
        assert sum(w for _, w in batch[:-1]) < pixels  # full before its last, it would have ended


@pytest.mark.parametrize("files", [[], [listed("a", "a link out of it")]])
def test_without_an_image_the_detector_is_not_asked(
    files: list[ListedFile], tmp_path: Path
) -> None:
    detector = Whole()
    result = ChunkWork((detector,), Folder(tmp_path), LIMITS, Kept()).annotate(files, 1)[0]
    assert (result.rows, detector.batches) == ((), [])
    assert [q.reason for q in result.quarantined] == [file.refused for file in files]


def test_a_detector_that_answers_too_little_is_no_silent_loss(tmp_path: Path) -> None:
    class Forgetful(Whole):
        def detect(self, images):
            return super().detect(images)[:-1]

    (tmp_path / "a.png").write_bytes(png(3, 2))
    with pytest.raises(ValueError, match="zip"):
        ChunkWork((Forgetful(),), Folder(tmp_path), LIMITS, Kept()).annotate([listed("a.png")], 1)[
            0
        ]


def test_an_image_that_was_listed_and_is_gone_is_quarantined(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(png(3, 2))
    result = ChunkWork((Whole(),), Folder(tmp_path), LIMITS, Kept()).annotate(
        [listed("a.png"), listed("b.png")], 7
    )[0]
    assert [(q.image_id, q.path) for q in result.quarantined] == [(7, "a.png")]
    assert [(r.image_id, r.candidates.detections.height) for r in result.rows] == [(8, 2)]


@settings(max_examples=20)
@given(st.lists(st.integers(), max_size=20), st.integers(1, 4), st.integers(1, 5))
def test_threads_keep_the_order(values: list[int], threads: int, ahead: int) -> None:
    assert list(in_order(lambda v: v * 2, values, threads, ahead)) == [v * 2 for v in values]


def test_threads_take_no_more_than_a_few_ahead() -> None:
    taken = []
    values = (taken.append(n) or n for n in range(100))
    made = in_order(lambda v: v, values, threads=2, ahead=6)
    assert next(made) == 0
    assert len(taken) == 6
    made.close()


def test_with_threads_a_chunk_is_the_same(tmp_path: Path) -> None:
    files = []
    for index in range(40):
        (tmp_path / f"{index}").write_bytes(png(3 + index, 2) if index % 7 else b"none")
        files.append(listed(f"{index}"))
    found = [
        ChunkWork((Whole(),), Folder(tmp_path), LIMITS, Kept(), threads).annotate(files, 1)[0]
        for threads in (1, 3)
    ]
    shown = [
        ([(r.image_id, r.candidates.detections.width) for r in one.rows], one.quarantined)
        for one in found
    ]
    assert shown[0] == shown[1]
    assert found[0].contents == found[1].contents


def test_the_time_of_each_phase_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(300, 200))
    work = ChunkWork((Whole(),), Folder(tmp_path), LIMITS, Kept())
    work.annotate([listed("a.png")], 1)
    assert work.phases.seconds["read"] > 0
    assert work.phases.seconds["decode"] > 0
    assert work.phases.seconds["write"] == 0


def test_several_models_see_an_image_that_is_decoded_once(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(3, 2))
    (tmp_path / "b.png").write_bytes(b"none")
    first, second, third = Whole(), Whole(), Whole()
    decoded = []

    class Counting(Folder):
        def read(self, file: ListedFile, limits: ImageLimits) -> bytes:
            decoded.append(file.name)
            return super().read(file, limits)

    work = ChunkWork((first, second, third), Counting(tmp_path), LIMITS, Kept())
    results = work.annotate([listed("a.png"), listed("b.png")], 1, wanted=[0, 2])
    assert decoded == ["a.png", "b.png"]
    assert [len(one.batches) for one in (first, second, third)] == [1, 0, 1]
    assert [[row.image_id for row in one.rows] for one in results] == [[1], [1]]
    assert [[file.image_id for file in one.quarantined] for one in results] == [[2], [2]]
