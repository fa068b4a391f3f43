"""Metrics of a model on a split, from its stored scores and maps, through Ray Data."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from orchestrator.config.settings import Evaluate, Machine
from orchestrator.config.workspace import METRICS_FILE, PER_IMAGE_FILE, Workspace
from orchestrator.engine.claims import Verb
from orchestrator.engine.connect import connect
from orchestrator.engine.engine import Engine
from orchestrator.engine.progress import Progress, say
from orchestrator.predict import PredictRequest, predict
from orchestrator.tracking.registry import fetch_model
from workloads.artifacts import digest, write_json
from workloads.localization.cutoffs import Cutoffs
from workloads.metrics.base import Metric
from workloads.metrics.evaluation import (
    case_table,
    evaluate_predictions,
    results_json,
    write_cases,
)
from workloads.metrics.options import MetricOptions
from workloads.metrics.registry import METRICS, build_metrics
from workloads.models.card import ModelCard
from workloads.models.model import Model
from workloads.predictions.predictions import Predictions
from workloads.predictions.store import read_part, rows_of
from workloads.shards.shards import Shards

BLOCKS_PER_ACTOR = 8
VERB = Verb(
    "evaluate", "predictions", "choose another --predictions folder, or remove what is there"
)


@dataclass(frozen=True, slots=True)
class EvaluateResult:
    """Metrics of one model on one split.

    Attributes:
        model, shards: the content digests of the model and the data.
        cutoffs: the model's parameters, on which boxes and rescored scores depend.
        images: how many images were evaluated.
        metrics: metric name to {value, interval, centre, per_class, counted, skipped, ...}.
        predictions: folder of stored scores and maps.
        out: folder of `metrics.json` and `per_image.parquet`.
    """

    model: str
    method: str
    backbone: str
    shards: str
    split: str
    cutoffs: Cutoffs
    images: int
    classes: tuple[str, ...]
    metrics: dict[str, Any]
    predictions: Path
    out: Path


@dataclass(frozen=True, slots=True)
class Measured:
    """Result of one block of images."""

    metrics: dict[str, Metric]
    per_image: pa.Table
    images: int


def evaluate(
    machine: Machine,
    model: str,
    shards: Shards,
    split: str,
    measure: Evaluate,
    out: Path | None = None,
    predictions: Path | None = None,
    names: Sequence[str] = (),
    ranking: Sequence[str] = (),
) -> EvaluateResult:
    """Evaluate a model folder or a registered version on a split.

    Stored predictions are reused when they are of the same model, shards and settings.

    Args:
        measure: what is stored of each image, and the options of the metrics.
        out: where `metrics.json` and `per_image.parquet` go; else a folder in the workspace.
        predictions: where scores and maps are stored; else a folder in the workspace.
        names: the metrics; all if empty.
        ranking: classifiers that rank the classes in the model's place, as in `predict`.

    Raises:
        ConfigError: an unknown metric, or a classifier of other classes.
        NotFound, IntegrityError: as `fetch_model` and `predict`.
        Conflict: `predictions` holds something else, or another process makes them.
    """
    chosen = tuple(names) or tuple(METRICS)
    build_metrics(chosen, 1, measure.metrics)  # fail early on unknown names
    fetched = fetch_model(machine, model)
    card = fetched.card
    wanted = what_is_stored(card, split, measure, chosen, ranking)
    stored = stored_predictions(machine, fetched, shards, wanted, predictions)
    found = measure_stored(machine, stored, card, chosen, measure.metrics, split)
    result = EvaluateResult(
        model=fetched.digest,
        method=card.method,
        backbone=card.backbone,
        shards=shards.digest,
        split=split,
        cutoffs=card.cutoffs,
        images=found.images,
        classes=card.classes,
        metrics=results_json(found.metrics),
        predictions=stored.folder,
        out=out or Workspace(machine.workspace).evaluation(fetched.digest, _key(shards, wanted)),
    )
    write_cases(result.out / PER_IMAGE_FILE, _named(found.per_image, card.classes))
    save_metrics(result.out / METRICS_FILE, result)
    return result


def what_is_stored(
    card: ModelCard,
    split: str,
    measure: Evaluate,
    names: Sequence[str],
    ranking: Sequence[str] = (),
) -> PredictRequest:
    """The predictions that some metrics of a model need."""
    built = build_metrics(names, 1, measure.metrics)
    maps = stored_maps(built.values(), len(card.classes), measure.stored_maps)
    return PredictRequest(split, maps, ranking=tuple(ranking))


def stored_predictions(
    machine: Machine,
    model: Model,
    shards: Shards,
    wanted: PredictRequest,
    place: Path | None = None,
) -> Predictions:
    """Scores and maps of a model, in the workspace unless `place` is given."""
    own = Workspace(machine.workspace).predictions(model.digest, _key(shards, wanted))
    return predict(machine, model, shards, wanted, place or own, VERB)


def stored_maps(metrics: Iterable[Metric], classes: int, wanted: int) -> int:
    """Number of maps stored of each image: as many as is wanted, or all that metrics need."""
    names = [metric.name for metric in metrics if metric.needs_all_maps]
    if not names or wanted >= classes:
        return wanted
    say(
        f"wsol: {', '.join(names)}: the options need the maps of all {classes} classes, so these "
        f"are stored and not {wanted} (evaluate.stored_maps)"
    )
    return classes


def _key(shards: Shards, wanted: PredictRequest) -> str:
    """Names the folders of what is asked of some shards: of their content, not of their place."""
    return f"{wanted.split}-{digest({'shards': shards.digest, **asdict(wanted)})[:12]}"


def save_metrics(path: Path, result: EvaluateResult) -> None:
    """Write metrics as JSON."""
    write_json(
        path,
        {
            "model": result.model,
            "method": result.method,
            "backbone": result.backbone,
            "shards": result.shards,
            "split": result.split,
            "cutoffs": result.cutoffs.model_dump(mode="json"),
            "images": result.images,
            "classes": list(result.classes),
            "metrics": result.metrics,
        },
    )


def measure_parts(
    parts: Sequence[Path], card: ModelCard, names: Sequence[str], options: MetricOptions
) -> Measured:
    """Metrics of the predictions in some parts, in one thread."""
    cv2.setNumThreads(1)  # several of these run side by side
    metrics = build_metrics(names, len(card.classes), options, card.classes)
    cooccurrence = np.asarray(card.cooccurrence)
    predictions = (prediction for part in parts for prediction in read_part(part))
    rows = evaluate_predictions(predictions, card.cutoffs, cooccurrence, metrics)
    table = case_table(rows, metrics)
    return Measured(metrics, table, images=len(table["image_id"].unique()))


def merge_measured(blocks: Iterable[Measured]) -> Measured:
    """All blocks as one: bit for bit what one process finds, whatever the blocks and their order.

    Blocks are taken one at a time, and what they counted is added to the first one's.

    Raises:
        ValueError: no blocks, or blocks that measured different things.
    """
    merged: dict[str, Metric] = {}
    tables, images = [], 0
    for block in blocks:
        for name, metric in block.metrics.items():
            merged.setdefault(name, metric)
            if merged[name] is not metric:
                merged[name].merge(metric)
        tables.append(block.per_image)
        images += block.images
    if not tables:
        raise ValueError("nothing was measured")
    table = pa.concat_tables(tables)
    return Measured(
        merged, table.sort_by([("image_id", "ascending"), ("label", "ascending")]), images
    )


def measure_stored(
    machine: Machine,
    stored: Predictions,
    card: ModelCard,
    names: Sequence[str],
    options: MetricOptions,
    split: str,
) -> Measured:
    """Map over blocks of parts and merge; a single block needs no cluster."""
    resources = machine.resources.evaluate
    total = stored.rows
    # Each block sends its counts, many with a thousand classes: so not too many blocks.
    size = max(resources.images_per_task, -(-total // (BLOCKS_PER_ACTOR * resources.actors)))
    blocks = _blocks(stored.parts(), size)
    if len(blocks) == 1:
        return measure_parts(blocks[0], card, names, options)
    units = [{"parts": [str(part) for part in block]} for block in blocks]
    work = partial(_work, card=card, names=tuple(names), options=options)

    def measured(engine: Engine, progress: Progress) -> Iterator[Measured]:
        for row in engine.tasks(units, work, resources.cpus_per_actor, "evaluate"):
            block = _unpack(row["measured"])
            yield block
            progress.advance(block.images)

    shown = Progress(total, "images", f"metrics of {split}")
    with connect(machine) as engine, shown as progress:
        return merge_measured(measured(engine, progress))


def _work(
    unit: dict[str, Any], *, card: ModelCard, names: Sequence[str], options: MetricOptions
) -> dict[str, Any]:
    return {"measured": _pack(measure_parts(list(map(Path, unit["parts"])), card, names, options))}


def _pack(measured: Measured) -> bytes:
    """A result as a worker sends it: counts of many classes are mostly zeros.

    Ray Data starts fewer tasks at a time than there are CPUs when their results are large.
    """
    return zlib.compress(pickle.dumps(measured), 1)


def _unpack(data: bytes) -> Measured:
    measured: Measured = pickle.loads(zlib.decompress(data))  # noqa: S301 - from our own worker
    return measured


def _blocks(parts: Sequence[Path], images: int) -> list[list[Path]]:
    """Parts in blocks of about so many images, at least one part each."""
    blocks: list[list[Path]] = [[]]
    held = 0
    for part in parts:
        rows = rows_of(part)
        if blocks[-1] and held + rows > images:
            blocks.append([])
            held = 0
        blocks[-1].append(part)
        held += rows
    return blocks


def _named(table: pa.Table, classes: Sequence[str]) -> pa.Table:
    """The table with class names beside the indices."""
    names = [None if k is None else classes[k] for k in table["label"].to_pylist()]
    return table.add_column(2, pa.field("class", pa.string()), pa.array(names, pa.string()))
