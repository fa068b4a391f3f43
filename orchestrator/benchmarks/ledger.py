"""The orchestrator's own time for a large annotation, beside that of its images."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.config.settings import Settings
from orchestrator.engine.connect import connect
from workloads.annotation.annotation import Annotation
from workloads.annotation.export import export
from workloads.annotation.found import FoundImage
from workloads.annotation.listing import ListedFile
from workloads.annotation.parts import ChunkResult
from workloads.annotation.sources.registry import open_source
from workloads.annotation.store import AnnotationStore
from workloads.artifacts import seal
from workloads.benchmarks.extent import Extent
from workloads.detections import Detections
from workloads.localization.candidates import Candidates

IMAGES: dict[Extent, int] = {"quick": 2_000, "usual": 100_000, "full": 1_000_000}
IN_A_FOLDER = 1_000
CLASSES = 20


def measure_ledger(extent: Extent = "usual") -> dict[str, object]:
    """CPU seconds of the process that orchestrates, for a folder with so many empty files, of
    which each is said to have one box.

    "list": the folder is listed and the listing written. "resume": it is opened with half of its
    parts there, and the others are handed to two actors that do nothing. "finish": counted and
    sealed, with the digest of each part. Then both usual exports. Each step is in a process of
    its own, without the start of Ray.

    Returns:
        `ratio`, the seconds for each image of a tenth of them over those of all (1: they grow
        with the number of images and no faster); for all, the seconds of each step and of list,
        resume and finish together (`own_cpu_s`), and the peak memory in MiB; the same of the tenth.
    """
    images = IMAGES[extent]
    few, all_ = _measure(images // 10), _measure(images)
    return {
        "name": "ledger",
        "ratio": few["own_cpu_s"] / few["images"] / (all_["own_cpu_s"] / all_["images"]),
        **all_,
        **{f"tenth_{name}": value for name, value in few.items()},
    }


def _measure(images: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="wsol-bench-") as scratch:
        folder, out = Path(scratch) / "images", Path(scratch) / "out"
        _make_files(folder, images)
        found: dict[str, float] = {"images": images}
        peaks = []
        for name, step in STEPS.items():
            if name == "resume":
                _write_parts(out, every=2)
            elif name == "finish":
                _write_parts(out)
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                seconds, peak = pool.apply(_timed, (step, folder, out))
            found[f"{name}_cpu_s"] = round(seconds, 2)
            peaks.append(peak)
    own = sum(found[f"{name}_cpu_s"] for name in ("list", "resume", "finish"))
    return {**found, "own_cpu_s": round(own, 2), "peak_mb": round(max(peaks))}


def _timed(step: Any, folder: Path, out: Path) -> tuple[float, float]:
    """CPU seconds of a step, and what this process held at most, in MiB."""
    with step(folder, out) as work:
        started = time.process_time()
        work()
        seconds = time.process_time() - started
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return seconds, int(kilobytes) / 1024


@contextmanager
def _list(folder: Path, out: Path) -> Iterator[Any]:
    request = {
        "chunk_images": Settings().resources.annotate.chunk_images,
        "classes": [f"class {k}" for k in range(CLASSES)],
        "model": {"method": "any", "backbone": "any", "digest": "0" * 64},
        "cutoffs": {"score_threshold": 0.1},
    }
    yield lambda: AnnotationStore.begin(out, request, open_source(folder).files())


@contextmanager
def _resume(_: Path, out: Path) -> Iterator[Any]:
    machine = Settings(workspace=out.parent / "workspace")

    def work() -> None:
        store = AnnotationStore.open(out)
        units = [{"index": index, "wanted": [0]} for index in store.missing()]
        rows = engine.pool(units, _Nothing, {}, machine.resources.annotate, "annotate")
        assert sum(1 for _ in rows) == len(units)

    with connect(machine) as engine:
        yield work


class _Nothing:
    """An actor that says that a unit is done."""

    def __call__(self, unit: dict[str, Any]) -> dict[str, Any]:
        return unit


@contextmanager
def _finish(_: Path, out: Path) -> Iterator[Any]:
    def work() -> None:
        store = AnnotationStore.open(out)
        counts = store.tally()
        assert counts.boxes == counts.read == store.listing.total
        seal(out, kind=Annotation.kind, boxes=counts.boxes)

    yield work


@contextmanager
def _coco(_: Path, out: Path) -> Iterator[Any]:
    yield lambda: export(AnnotationStore.open(out), ["coco"])


@contextmanager
def _parquet(_: Path, out: Path) -> Iterator[Any]:
    yield lambda: export(AnnotationStore.open(out), ["parquet"])


STEPS = {
    "list": _list, "resume": _resume, "finish": _finish, "coco": _coco, "parquet": _parquet,
}  # fmt: skip


def _make_files(folder: Path, images: int) -> None:
    for number in range(images):
        place = folder / f"{number // IN_A_FOLDER:04d}"
        if number % IN_A_FOLDER == 0:
            place.mkdir(parents=True)
        (place / f"photo {number:07d}.jpg").touch()


def _write_parts(out: Path, every: int = 1) -> None:
    """The parts that are missing, or each second of them, as actors would write them."""
    store = AnnotationStore.open(out)
    for index in store.missing()[::every]:
        first = store.listing.first_id(index)
        files = enumerate(store.listing.chunk(index), start=first)
        store.write(index, ChunkResult(tuple(_found(i, file) for i, file in files), ()))


def _found(image_id: int, file: ListedFile) -> FoundImage:
    label = np.asarray([image_id % CLASSES], np.int32)
    score, box = np.asarray([0.5], np.float32), np.asarray([[1, 2, 30, 40]], np.float32)
    boxes = Detections(box, score, label, 64, 48)
    return FoundImage(image_id, file.name, 1, Candidates(label, score, box[:, :2], boxes))
