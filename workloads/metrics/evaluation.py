"""All metrics of stored predictions in one loop, and what they say about single images."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workloads.localization.cooccurrence import rescore
from workloads.localization.cutoffs import Cutoffs
from workloads.metrics.base import Metric, MetricResult
from workloads.metrics.evaluated import Evaluated
from workloads.parquet import write_parquet
from workloads.predictions.store import Prediction

_ARROW = {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}


def evaluate_predictions(
    predictions: Iterable[Prediction],
    cutoffs: Cutoffs,
    cooccurrence: NDArray[np.float64],
    metrics: Mapping[str, Metric],
) -> list[dict[str, Any]]:
    """Update every metric with every image.

    Args:
        cooccurrence: (K, K) p(i | j); not looked at if `cutoffs.alpha` is 0.

    Returns:
        Rows of `case_schema`: at least one for every image, one for each class about which a
        metric says something.

    Raises:
        NotFound: the map of a true class was not stored.
    """
    rows: list[dict[str, Any]] = []
    for prediction in predictions:
        scores = rescore(prediction.scores, cooccurrence, cutoffs.alpha)
        # One object per image: the metrics share its upsampled maps.
        image = Evaluated(prediction, scores, cutoffs)
        columns = {name: metric.update(image) for name, metric in metrics.items()}
        rows += _rows(prediction, columns)
    return rows


def case_schema(metrics: Mapping[str, type[Metric] | Metric]) -> pa.Schema:
    """Columns of the table of single images: one row for each image and class.

    `label` is null for an image about which no metric says anything; a metric's columns are
    null where it says nothing, and named `<metric>.<column>`.
    """
    fields = [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("label", pa.int32()),
        pa.field("present", pa.bool_(), nullable=False),
    ]
    fields += [
        pa.field(f"{name}.{column}", _ARROW[kind])
        for name, metric in metrics.items()
        for column, kind in metric.columns.items()
    ]
    return pa.schema(fields)


def case_table(
    rows: Iterable[dict[str, Any]], metrics: Mapping[str, type[Metric] | Metric]
) -> pa.Table:
    """Rows of `evaluate_predictions` as a table, ordered by image and class."""
    none = -1
    ordered = sorted(
        rows, key=lambda r: (r["image_id"], none if r["label"] is None else r["label"])
    )
    return pa.Table.from_pylist(ordered, schema=case_schema(metrics))


def write_cases(path: Path, table: pa.Table) -> None:
    """Write a table of single images as Parquet, whole or not at all."""
    write_parquet(path, table)


def results_json(metrics: Mapping[str, Metric]) -> dict[str, object]:
    """Metric name to its title and the fields of its result, plain JSON: NaN becomes null."""
    return {name: _plain(_fields(metric, metric.result())) for name, metric in metrics.items()}


def _rows(prediction: Prediction, columns: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    truth = prediction.truth
    present = {*truth.labels, *truth.difficult_labels}
    labels = sorted({label for of_metric in columns.values() for label in of_metric})
    for label in labels or [None]:
        row: dict[str, Any] = {
            "image_id": prediction.image_id,
            "label": label,
            "present": label in present,
        }
        for name, of_metric in columns.items():
            for column, value in of_metric.get(label, {}).items():
                row[f"{name}.{column}"] = value
        yield row


def _fields(metric: Metric, result: MetricResult) -> dict[str, object]:
    return {
        "title": metric.title,
        "value": result.value,
        "interval": result.interval,
        "higher_is_better": metric.higher_is_better,
        "per_class": result.per_class,
        "centre": result.centre,
        "counted": result.counted,
        "skipped": result.skipped,
        "options": metric.used_options,
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
