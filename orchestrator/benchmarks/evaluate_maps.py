"""Time of `wsol evaluate` for as many maps as ILSVRC's validation split has."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.config.settings import Settings
from orchestrator.evaluate import measure_stored
from workloads.artifacts import seal
from workloads.benchmarks.extent import Extent
from workloads.localization.cutoffs import Cutoffs
from workloads.metrics.registry import METRICS
from workloads.models.card import ModelCard, Preprocessing
from workloads.predictions.predictions import Predictions
from workloads.predictions.store import Prediction, write_predictions
from workloads.records import GroundTruth

CLASSES, STORED = 1_000, 5
VALIDATION = 50_000  # images of ILSVRC's validation split
IMAGES: dict[Extent, int] = {"quick": 256, "usual": 2_048, "full": VALIDATION}
SIDE, FIELD = 224, 14
PART = 256
PROTOCOL_BAR_S = 300.0  # for the whole validation split


def measure_evaluation(extent: Extent = "usual") -> dict[str, object]:
    """All metrics of images of 224x224 pixels with 1,000 classes, as `wsol evaluate` does.

    Stored predictions are made up: for each image scores of all classes, and 14x14 maps of its
    class and four others, a blob near the object over noise. They are measured through Ray Data
    with two tasks at a time, both protocols of MaxBoxAcc one after the other. The full extent has
    the 50,000 images of ILSVRC's validation split; with fewer, starting up weighs more.

    Returns:
        `ratio` five minutes for 50,000 images, or its share for fewer, / the slower of the two;
        seconds and images per second of each.
    """
    with tempfile.TemporaryDirectory(prefix="wsol-bench-") as folder:
        images = IMAGES[extent]
        stored = _store(Path(folder) / "predictions", images)
        seconds = {
            name: _time(Path(folder), stored, name, images) for name in ("exact", "wsolevaluation")
        }
    return {
        "name": "evaluate-maps",
        "ratio": PROTOCOL_BAR_S * images / VALIDATION / max(seconds.values()),
        "images": images,
        "metrics": len(METRICS),
        **{f"seconds_{name}": round(s, 1) for name, s in seconds.items()},
        **{f"images_per_s_{name}": round(images / s, 1) for name, s in seconds.items()},
    }


def _time(folder: Path, stored: Predictions, protocol: str, images: int) -> float:
    settings = Settings(workspace=folder).resolved()
    options = settings.evaluate.metrics.model_copy(update={"protocol": protocol})
    started = time.monotonic()
    measured = measure_stored(settings, stored, _card(), tuple(METRICS), options, "bench")
    for metric in measured.metrics.values():
        metric.result()
    assert measured.images == images
    return time.monotonic() - started


def _store(folder: Path, images: int) -> Predictions:
    rng = np.random.default_rng(0)
    for part, start in enumerate(range(0, images, PART)):
        chunk = [_prediction(rng, i) for i in range(start, min(start + PART, images))]
        write_predictions(folder / f"part-{part:05d}.parquet", chunk)
    seal(folder, kind=Predictions.kind, rows=images)
    return Predictions.open(folder)


def _prediction(rng: np.random.Generator, index: int) -> Prediction:
    label = int(rng.integers(CLASSES))
    box = _box(rng)
    scores = rng.random(CLASSES, np.float32) ** 4
    scores[label] += rng.random(dtype=np.float32)
    others = rng.choice(CLASSES, STORED - 1, replace=False)
    labels = np.unique([label, *others]).astype(np.int32)
    return Prediction(
        image_id=f"{index:06d}",
        split="val",
        width=SIDE,
        height=SIDE,
        truth=GroundTruth.from_boxes(box[None], np.array([label], np.int32)),
        scores=np.clip(scores, 0, 1),
        map_labels=labels,
        scales=(np.stack([_map(rng, box) for _ in labels]),),
    )


def _box(rng: np.random.Generator) -> NDArray[np.float32]:
    sides = rng.uniform(60, 180, 2)
    corner = rng.uniform(0, SIDE - sides)
    return np.concatenate([corner, corner + sides]).astype(np.float32)


def _map(rng: np.random.Generator, box: NDArray[np.float32]) -> NDArray[np.float32]:
    """(14, 14) a blob about as large as the box, off its middle, over noise."""
    x0, y0, x1, y1 = box * FIELD / SIDE
    y, x = np.mgrid[:FIELD, :FIELD] + 0.5
    cx, cy = (x0 + x1) / 2 + rng.normal(), (y0 + y1) / 2 + rng.normal()
    distance = ((x - cx) / (x1 - x0)) ** 2 + ((y - cy) / (y1 - y0)) ** 2
    blob: NDArray[np.float64] = np.exp(-4 * distance) + 0.15 * rng.random((FIELD, FIELD))
    return blob.astype(np.float32)


def _card() -> ModelCard:
    return ModelCard(
        method="none",
        method_options={},
        backbone="none",
        task="singlelabel",
        classes=tuple(f"{k:04d}" for k in range(CLASSES)),
        preprocessing=Preprocessing(size=SIDE, mean=(0, 0, 0), std=(1, 1, 1)),
        cutoffs=Cutoffs(cutoff=0.3),
        cooccurrence=((0.0,) * CLASSES,) * CLASSES,
        provenance={},
    )
