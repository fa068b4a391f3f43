"""A finished pipeline without any training: real digits, made-up maps, all else measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from orchestrator.config.settings import Settings
from orchestrator.config.workspace import PipelinePaths, Workspace
from orchestrator.evaluate import EvaluateResult, save_metrics
from orchestrator.pages.pipeline.outcome import Champion, Outcome, Served
from orchestrator.pipeline.table import results_table
from orchestrator.tracking.events import EventLog
from workloads.artifacts import read_json, write_json
from workloads.datasets.digit_options import DigitsOptions
from workloads.datasets.digits import CLASSES, Digits, make_digits
from workloads.images.decode import ImageLimits
from workloads.localization.cutoffs import Cutoffs
from workloads.metrics.evaluation import evaluate_predictions, results_json
from workloads.metrics.options import MetricOptions
from workloads.metrics.registry import METRICS, build_metrics
from workloads.models.card import ModelCard, Preprocessing
from workloads.models.version import CARD_FILE
from workloads.predictions.store import Prediction, classes_to_store, write_predictions
from workloads.recipes.schema import Recipe
from workloads.records import Record
from workloads.search.grid_search import MEASURED, search
from workloads.search.options import SearchOptions
from workloads.search.table import SearchTable
from workloads.shards.shards import Shards
from workloads.shards.write import finish_shards, ingest_shard

RECIPES = ("digits-part", "digits-whole")
IMAGES = {"train": 60, "val": 30, "test": 60}
MAP_SIDE = 16
ROWS_PER_PART = 32
METRIC_OPTIONS = MetricOptions(pointing_tolerance_px=4.0, thresholds=100)


@dataclass(frozen=True)
class SyntheticPipeline:
    """The arguments of `write_report`."""

    settings: Settings
    paths: PipelinePaths
    outcome: Outcome
    table: list[dict[str, Any]]
    shards: Shards


def make_pipeline(
    workspace: Path,
    recipes: Sequence[str] = RECIPES,
    classes: Sequence[str] = CLASSES,
    images: dict[str, int] = IMAGES,
) -> SyntheticPipeline:
    """Write a job of `recipes` below a workspace; the later a recipe, the better its maps."""
    # Not `parse`: recipes here need not exist.
    settings = Settings(workspace=workspace)
    pipeline = settings.pipeline.model_copy(update={"recipes": tuple(recipes)})
    settings = settings.model_copy(update={"pipeline": pipeline})
    paths = Workspace(workspace).pipeline(pipeline.name)
    shards = _make_shards(workspace, images)
    for index, recipe in enumerate(recipes):
        _make_run(paths, recipe, (index + 1) / len(recipes), shards, classes)
    served = _make_served(paths, shards, classes)
    outcome = _outcome(paths, recipes, served)
    measured = {r: read_json(paths.run(r).metrics("test"))["metrics"] for r in recipes}
    return SyntheticPipeline(settings, paths, outcome, results_table(measured), shards)


def _make_shards(workspace: Path, images: dict[str, int]) -> Shards:
    root, shards = workspace / "data", workspace / "shards" / "digits"
    make_digits(root, DigitsOptions(**images))
    dataset = Digits(root)
    results = [
        ingest_shard(dataset, dataset.items(s), shards / f"{s}-0.parquet", ImageLimits())
        for s in dataset.splits()
    ]
    finish_shards(shards, dataset, images, results)
    return Shards.open(shards)


def _make_run(
    paths: PipelinePaths, recipe: str, skill: float, shards: Shards, classes: Sequence[str]
) -> None:
    run = paths.run(recipe)
    together = shards.cooccurrence("train")
    rng = np.random.default_rng(7)
    found = {s: [_predict(r, skill, rng) for r in shards.records(s)] for s in ("val", "test")}
    search = _search(found["val"], together)
    write_json(run.search, search)
    cutoffs = Cutoffs(**{k: search[k] for k in ("cutoff", "alpha", "score_threshold")})
    card = _card(recipe, cutoffs, together, classes)
    write_json(run.tuned_model / CARD_FILE, card.model_dump(mode="json"))
    # The same parts as `predict` makes: one per row group, of which there is one here.
    write_predictions(run.predictions("test") / "part-00000.parquet", found["test"])
    metrics = build_metrics(list(METRICS), len(classes), METRIC_OPTIONS)
    evaluate_predictions(found["test"], cutoffs, together, metrics)
    result = EvaluateResult(
        "d" * 64, card.method, card.backbone, "e" * 64, "test", cutoffs, len(found["test"]),
        tuple(classes), results_json(metrics), run.predictions("test"), run.evaluation("test"),
    )  # fmt: skip
    save_metrics(run.metrics("test"), result)
    chosen = Recipe(
        name=recipe, summary="made up", method=card.method, backbone=card.backbone,
        initial="start-small", dataset="digits", metric="box_f1",
    )  # fmt: skip
    write_json(run.spec, {"recipe": chosen.model_dump(mode="json")})
    log = EventLog(run.events)
    for epoch in range(1, 15):
        done = 1 - np.exp(-epoch / 4)
        metrics_of_epoch = {
            "loss": 0.35 - 0.28 * done * (0.6 + 0.4 * skill) + 0.01 * rng.random(),
            "val_classification_map": done * (0.7 + 0.25 * skill),
        }
        log.append({"epoch": epoch, "metrics": metrics_of_epoch})


def _predict(record: Record, skill: float, rng: np.random.Generator) -> Prediction:
    """Scores that mostly know what is there, and a blob on each object, too small if unskilled."""
    truth = record.truth
    scores = rng.beta(1, 12, len(CLASSES))
    for label in truth.labels:
        scores[label] = rng.beta(3 + 9 * skill, 2)
    maps = np.stack([_map(record, label, skill, rng) for label in range(len(CLASSES))])
    labels = classes_to_store(truth, scores.astype(np.float32), 4)
    return Prediction(
        record.image_id, record.split, record.width, record.height, truth,
        scores.astype(np.float32), labels, (maps[labels],),
    )  # fmt: skip


def _map(record: Record, label: int, skill: float, rng: np.random.Generator) -> np.ndarray:
    heat = 0.25 * cv2.GaussianBlur(rng.random((MAP_SIDE, MAP_SIDE)), (0, 0), 1.5)
    rows, columns = np.mgrid[:MAP_SIDE, :MAP_SIDE] + 0.5
    scale = np.array([MAP_SIDE / record.width, MAP_SIDE / record.height] * 2)
    for box in record.truth.boxes_of(label):
        x0, y0, x1, y1 = box * scale
        shift = rng.normal(0, 0.25 * (1.3 - skill), 2) * (x1 - x0, y1 - y0)
        spread = (0.2 + 0.15 * skill) * np.maximum(1.5, [x1 - x0, y1 - y0])
        distance = ((columns - (x0 + x1) / 2 - shift[0]) / spread[0]) ** 2
        distance += ((rows - (y0 + y1) / 2 - shift[1]) / spread[1]) ** 2
        heat = heat + np.exp(-distance / 2)
    return heat.astype(np.float32)


def _search(predictions: list[Prediction], together: np.ndarray) -> dict[str, Any]:
    table = SearchTable.build(predictions, together, METRIC_OPTIONS)
    found = search(table, SearchOptions(alphas=11))
    return {
        "metric": found.metric,
        **{k: found.best[k] for k in ("cutoff", "alpha", "score_threshold")},
        "values": {k: found.best[k] for k in MEASURED},
        "trials": list(found.trials),
        "curve": found.curve,
        "predictions": "p" * 64,
    }


def _card(recipe: str, cutoffs: Cutoffs, together: np.ndarray, classes: Sequence[str]) -> ModelCard:
    return ModelCard(
        method=recipe.rpartition("-")[2],
        method_options={},
        backbone="small",
        task="multilabel",
        classes=tuple(classes),
        preprocessing=Preprocessing(size=64, mean=(0, 0, 0), std=(1, 1, 1)),
        cutoffs=cutoffs,
        cooccurrence=tuple(map(tuple, together.tolist())),
        provenance={},
    )


def _outcome(paths: PipelinePaths, recipes: Sequence[str], served: Served) -> Outcome:
    values = {r: read_json(paths.run(r).search)["values"]["box_f1"] for r in recipes}
    winner = max(recipes, key=lambda recipe: values[recipe])
    per_recipe = [f"{s}-{r}" for r in recipes for s in ("train", "tune", "register")]
    names = ["data", "ingest", *per_recipe, "champion", "annotate", "serve"]
    return Outcome(
        champion=Champion("wsol-digits", 2, "d" * 64, "champion", winner, "box_f1", values),
        images=paths.unlabelled,
        listed=61,
        read=60,
        boxes=97,
        served=served,
        quarantines={"annotate": paths.annotations / "quarantine.jsonl"},
        seconds={name: 1.7 * (index % 5) ** 3 for index, name in enumerate(names)},
    )


def _make_served(paths: PipelinePaths, shards: Shards, classes: Sequence[str]) -> Served:
    record = next(r for r in shards.records("test") if len(r.truth.boxes_xyxy) > 1)
    name = f"{record.image_id}.jpg"
    paths.unlabelled.mkdir(parents=True)
    (paths.unlabelled / name).write_bytes(record.image)
    paths.annotations.mkdir()
    left_out = {"image_id": 61, "path": "broken <b>.jpg", "reason": "the file is empty"}
    (paths.annotations / "quarantine.jsonl").write_text(json.dumps(left_out) + "\n")
    detections = [
        {"label": int(k), "class": classes[int(k)], "score": 0.9 - 0.1 * i, "box": box.tolist()}
        for i, (box, k) in enumerate(
            zip(record.truth.boxes_xyxy, record.truth.box_labels, strict=True)
        )
    ]
    model = {"name": "wsol-digits/2", "digest": "d" * 64, "method": "whole", "backbone": "small"}
    answer = {
        "model": model, "width": record.width, "height": record.height, "detections": detections
    }  # fmt: skip
    write_json(paths.served, {"image": name, "answer": answer})
    return Served(name, answer)
