"""COCO JSON from the store of an annotation, against a plain script."""

from __future__ import annotations

import json
import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from workloads.annotation.export import export
from workloads.annotation.found import FoundImage
from workloads.annotation.listing import ListedFile
from workloads.annotation.parts import ChunkResult
from workloads.annotation.store import PARTS, AnnotationStore
from workloads.benchmarks.extent import Extent
from workloads.detections import Detections
from workloads.localization.candidates import Candidates

IMAGES: dict[Extent, int] = {"quick": 1_000, "usual": 40_000, "full": 250_000}
BOXES = 4  # in each image, of as many classes
CLASSES, CHUNK_IMAGES, WIDTH, HEIGHT = 20, 1_000, 500, 375


def compare_export(extent: Extent = "usual") -> dict[str, object]:
    """COCO JSON of a finished annotation against a script that reads the same parts row by row,
    gathers dictionaries and writes them with Python's `json`.

    Images have four boxes each; the full extent has a million boxes, the usual one 160,000. Each
    way runs in a process of its own, after it wrote 1,000 images. Memory is what the process held
    at most above what it held before; up to 200,000 names of the listing are part of it. That both
    write the same is checked on 1,000 images.

    Returns:
        `ratio` script / export in CPU time; boxes per second by the clock and by CPU time, and
        memory in MiB, of both and of the export of a quarter of the images.
    """
    images = IMAGES[extent]
    with tempfile.TemporaryDirectory(prefix="wsol-bench-") as scratch:
        few, quarter, all_images = (Path(scratch) / name for name in ("few", "quarter", "all"))
        for folder, count in ((few, 1_000), (quarter, images // 4), (all_images, images)):
            make_store(folder, count)
        _require_the_same(few)
        found = {
            "export": measure(all_images, few, plain=False),
            "script": measure(all_images, few, plain=True),
            "quarter": measure(quarter, few, plain=False),
        }
    cpu_s = {way: facts.pop("cpu_s") for way, facts in found.items()}
    return {
        "name": "export",
        "ratio": cpu_s["script"] / cpu_s["export"],
        "boxes": images * BOXES,
        **{f"{way}_{fact}": value for way, facts in found.items() for fact, value in facts.items()},
    }


def measure(folder: Path, few: Path, *, plain: bool) -> dict[str, float]:
    """Speed and memory of one way, in a process of its own, once a few images made it warm."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure_here, (folder, few, plain))


def _measure_here(folder: Path, few: Path, plain: bool) -> dict[str, float]:
    way = write_plainly if plain else _export
    way(AnnotationStore.open(few))
    store = AnnotationStore.open(folder)
    boxes = store.listing.total * BOXES
    before = _memory_mb("VmRSS")
    clock, cpu = time.perf_counter(), time.process_time()
    way(store)
    clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
    return {
        "cpu_s": cpu,
        "per_s": boxes / clock,
        "per_cpu_s": boxes / cpu,
        "memory_mb": _memory_mb("VmHWM") - before,
    }


def _export(store: AnnotationStore) -> Path:
    return export(store, ["coco"]).files["coco"]


def write_plainly(store: AnnotationStore) -> Path:
    """The same file, as one would write it without a thought of its size."""
    names = [{"id": k + 1, "name": name} for k, name in enumerate(store.classes)]
    images, annotations = list[dict[str, Any]](), list[dict[str, Any]]()
    for part in sorted((store.folder / PARTS).iterdir()):
        for row in pq.read_table(part).to_pylist():
            images.append({key: row[column] for key, column in _IMAGE.items()})
            scores = dict(zip(row["candidates"], row["class_scores"], strict=True))
            for i, label in enumerate(row["labels"]):
                if scores[label] >= store.cutoffs.score_threshold:
                    box = row["boxes_xyxy"][4 * i : 4 * i + 4]
                    annotations.append(
                        _annotation(len(annotations), row["image_id"], label, box, row["scores"][i])
                    )
    info = {"description": "boxes of weakly supervised object localization"}
    document = {"info": info, "licenses": [], "categories": names}
    path = store.folder / "plain.json"
    with path.open("w", encoding="utf-8") as out:
        json.dump({**document, "images": images, "annotations": annotations}, out)
    return path


_IMAGE = {"id": "image_id", "file_name": "file_name", "width": "width", "height": "height"}


def _annotation(
    index: int, image_id: int, label: int, box: list[float], score: float
) -> dict[str, Any]:
    x0, y0, x1, y1 = box
    return {
        "id": index + 1,
        "image_id": image_id,
        "category_id": label + 1,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": (x1 - x0) * (y1 - y0),
        "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
        "iscrowd": 0,
        "score": score,
    }


def make_store(folder: Path, images: int) -> AnnotationStore:
    """A store of images with random boxes, each of another class, all above the threshold."""
    request = {
        "chunk_images": CHUNK_IMAGES,
        "classes": [f"class {k}" for k in range(CLASSES)],
        "model": {"method": "any", "backbone": "any", "digest": "0" * 64},
        "cutoffs": {"score_threshold": 0.1},
    }
    names = (f"{i // 1000:05d}/photo {i:09d}.jpg" for i in range(images))
    store = AnnotationStore.begin(folder, request, (ListedFile(name, 1, 0) for name in names))
    rng = np.random.default_rng(0)
    for index in store.listing.chunks:
        files = list(enumerate(store.listing.chunk(index), start=store.listing.first_id(index)))
        rows = tuple(FoundImage(i, file.name, 1, _candidates(rng)) for i, file in files)
        store.write(index, ChunkResult(rows, ()))
    return store


def _candidates(rng: np.random.Generator) -> Candidates:
    corners = rng.uniform(0, 200, (BOXES, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 100, (BOXES, 2))], axis=1)
    scores = -np.sort(-rng.uniform(0.1, 1, BOXES)).astype(np.float32)
    labels = rng.permutation(CLASSES)[:BOXES].astype(np.int32)
    order = np.argsort(labels)
    found = Detections(boxes.astype(np.float32), scores, labels, WIDTH, HEIGHT)
    return Candidates(labels[order], scores[order], found.boxes_xyxy[order, :2], found)


def _require_the_same(folder: Path) -> None:
    store = AnnotationStore.open(folder)
    if json.loads(_export(store).read_bytes()) != json.loads(write_plainly(store).read_bytes()):
        raise AssertionError("the export and the plain script write different files")


def _memory_mb(kind: str) -> float:
    """VmRSS, held now, or VmHWM, held at most, of this process, in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith(f"{kind}:"))
    return int(kilobytes) / 1024
