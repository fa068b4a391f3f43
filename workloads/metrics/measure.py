"""Metrics of a model, from its predictions, in this process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from workloads.metrics.base import MetricResult
from workloads.metrics.evaluation import evaluate_predictions
from workloads.metrics.options import MetricOptions
from workloads.metrics.registry import METRICS, build_metrics
from workloads.models.card import ModelCard
from workloads.predictions.store import Prediction


def evaluate(
    card: ModelCard,
    predictions: Iterable[Prediction],
    names: Sequence[str] = (),
    options: MetricOptions | None = None,
) -> dict[str, MetricResult]:
    """Metric name to its result, at the model's own thresholds.

    Args:
        predictions: of one split, read once.
        names: which metrics; all if empty.

    Raises:
        ConfigError: an unknown metric; the message has the nearest match and all names.
    """
    metrics = build_metrics(
        tuple(names) or tuple(METRICS), len(card.classes), options, card.classes
    )
    evaluate_predictions(predictions, card.cutoffs, np.asarray(card.cooccurrence), metrics)
    return {name: metric.result() for name, metric in metrics.items()}
