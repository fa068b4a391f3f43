"""Metrics of a model on a split, from its stored scores and maps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.predict import predict
from orchestrator.register import fetch_model
from orchestrator.settings import Settings
from workloads.artifacts import read_manifest, write_json
from workloads.evaluation import evaluate_predictions, results_json
from workloads.localizer import read_card
from workloads.metrics import METRICS, build_metrics
from workloads.predictions import read_predictions


@dataclass(frozen=True, slots=True)
class EvaluateResult:
    """Metrics of one model on one split.

    Attributes:
        model: the model's content digest.
        images: how many images were evaluated.
        metrics: metric name to {value, centre, per_class, counted, skipped, details}.
        predictions: folder of stored scores and maps.
    """

    model: str
    method: str
    backbone: str
    split: str
    images: int
    classes: tuple[str, ...]
    metrics: dict[str, Any]
    predictions: Path


def evaluate(
    settings: Settings,
    model: str,
    shards: Path,
    split: str,
    out: Path | None = None,
) -> EvaluateResult:
    """Evaluate a model folder or a registered version on a split.

    Stored predictions are reused when they are of the same model, shards and settings.

    Raises:
        NotFound, IntegrityError: as `fetch_model` and `predict`.
    """
    folder = fetch_model(settings, model)
    digest = read_manifest(folder, "model")["digest"]
    out = out or settings.workspace / "predictions" / digest[:16] / f"{shards.name}-{split}"
    predictions = predict(settings, folder, shards, split, out)
    card = read_card(folder)
    metrics = build_metrics(list(METRICS), len(card.classes), settings.job.metrics)
    images = evaluate_predictions(
        read_predictions(predictions), card.cutoffs, np.asarray(card.cooccurrence), metrics
    )
    return EvaluateResult(
        model=digest,
        method=card.method,
        backbone=card.backbone,
        split=split,
        images=images,
        classes=card.classes,
        metrics=results_json(metrics),
        predictions=predictions,
    )


def save_metrics(path: Path, result: EvaluateResult) -> None:
    """Write metrics as JSON."""
    write_json(
        path,
        {
            "model": result.model,
            "method": result.method,
            "backbone": result.backbone,
            "split": result.split,
            "images": result.images,
            "classes": list(result.classes),
            "metrics": result.metrics,
        },
    )
