"""All metrics of stored predictions in one loop."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from workloads.localization.cooccurrence import rescore
from workloads.metrics.base import Evaluated, Metric, MetricResult
from workloads.model_card import Cutoffs
from workloads.predictions import Prediction


def evaluate_predictions(
    predictions: Iterable[Prediction],
    cutoffs: Cutoffs,
    cooccurrence: NDArray[np.float64],
    metrics: Mapping[str, Metric],
) -> int:
    """Update every metric with every image; the number of images.

    Args:
        cooccurrence: (K, K) p(i | j); not looked at if `cutoffs.alpha` is 0.

    Raises:
        NotFound: the map of a true class was not stored.
    """
    images = 0
    for prediction in predictions:
        scores = rescore(prediction.scores, cooccurrence, cutoffs.alpha)
        # One object per image: the metrics share its upsampled maps.
        image = Evaluated(prediction, scores, cutoffs)
        for metric in metrics.values():
            metric.update(image)
        images += 1
    return images


def results_json(metrics: Mapping[str, Metric]) -> dict[str, object]:
    """Metric name to its title and the fields of its result, plain JSON: NaN becomes null."""
    return {name: _plain(_fields(m.title, m.result())) for name, m in metrics.items()}


def _fields(title: str, result: MetricResult) -> dict[str, object]:
    return {
        "title": title,
        "value": result.value,
        "per_class": result.per_class,
        "centre": result.centre,
        "counted": result.counted,
        "skipped": result.skipped,
        "details": result.details,
    }


def _plain(value: object) -> object:
    """JSON has no NaN and no integer keys."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
