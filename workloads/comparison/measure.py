"""A reading of trained weights, measured on test at its own best cut-offs on validation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from workloads.comparison.plan import BOX_METRIC, Reading
from workloads.comparison.recipes import PRESET_OF_READINGS, reading_options
from workloads.images.decode import ImageLimits
from workloads.localization.cutoffs import Cutoffs
from workloads.methods.registry import METHODS
from workloads.metrics.evaluation import evaluate_predictions
from workloads.metrics.options import MetricOptions
from workloads.metrics.registry import build_metrics
from workloads.models.localizer import Localizer
from workloads.models.version import load_network, read_card
from workloads.options import Options
from workloads.predictions.predict import predict
from workloads.predictions.store import Prediction
from workloads.search.cutoff_scan import Scan, scan
from workloads.search.objective import objective
from workloads.search.table import SearchTable
from workloads.shards.shards import Shards

CUTOFFS: tuple[float, ...] = tuple(np.round(np.arange(0.02, 0.9, 0.01), 2).tolist())
ALPHAS: tuple[float, ...] = tuple(np.round(np.arange(0.0, 0.52, 0.05), 2).tolist())
WITH_ALPHA = "with_alpha"

_OTHERS = "others"
_AT_ONCE = 64  # test images whose maps are in memory


class Measuring(Options):
    """A way to measure readings.

    Attributes:
        val, test: splits on which cut-offs are chosen, and values taken.
        metrics: names of the metrics.
        stored_maps: maps kept of an image beside those of its true classes.
        given: cut-offs that are not searched, of the trained method.
    """

    val: str
    test: str
    metrics: tuple[str, ...]
    options: MetricOptions
    stored_maps: int
    given: dict[str, JsonValue]
    limits: ImageLimits


def read(
    model: Path, reading: Reading, shards: Shards, split: str, how: Measuring
) -> Iterator[Prediction]:
    """Scores and maps of a split by a reading of a model's weights."""
    localizer = _localizer(model, reading)
    return predict(localizer, shards, split, top=how.stored_maps, limits=how.limits)


def measure(model: Path, reading: Reading, shards: Shards, how: Measuring) -> dict[str, Any]:
    """Test values of one reading, at the cut-offs that validation chose.

    Boxes with scores are measured at the cut-off with the best box F1, everything else at the one
    with the best GT-known localization. Without any box on validation cut-offs stay as given.

    Returns:
        metric to value, NaN without a case; under `with_alpha` the same with the co-occurrence
        weight that was best for classification on the validation split; and the `parameters`.
    """
    card = read_card(model)
    together = np.asarray(card.cooccurrence)
    chosen, parameters = _chosen(model, reading, shards, how, together)
    counted = {
        name: build_metrics(_metrics_of(name, how), len(card.classes), how.options, card.classes)
        for name in chosen
    }
    test = read(model, reading, shards, how.test, how)
    while some := list(islice(test, _AT_ONCE)):
        for name, cutoffs in chosen.items():
            evaluate_predictions(some, cutoffs, together, counted[name])
    values = {
        name: {metric: count.result().value for metric, count in metrics.items()}
        for name, metrics in counted.items()
    }
    return {
        **values[_OTHERS],
        **values[BOX_METRIC],
        WITH_ALPHA: values[WITH_ALPHA],
        "parameters": parameters,
    }


def _chosen(
    model: Path,
    reading: Reading,
    shards: Shards,
    how: Measuring,
    together: NDArray[np.float64],
) -> tuple[dict[str, Cutoffs], dict[str, float]]:
    """Cut-offs by what they are chosen for, and those that were searched by their names."""
    given = Cutoffs.parse(_given(reading, how), "cut-offs")
    val = read(model, reading, shards, how.val, how)
    table = SearchTable.build(val, together, how.options, given)
    by_cutoff = scan(table, table.scores)
    tried = CUTOFFS
    if not table.has_boxes or "cutoff" in given.model_fields_set:
        tried = (given.cutoff,)
    best = {m: _best(table, by_cutoff, m, tried) for m in ("gt_known", BOX_METRIC)}
    alpha = max(ALPHAS, key=lambda a: objective(table, best["gt_known"], a)["classification_map"])
    threshold = float(by_cutoff.score_threshold[table.grid(best[BOX_METRIC])])
    one, boxes = {"cutoff": best["gt_known"]}, {"cutoff": best[BOX_METRIC]}
    chosen = {
        _OTHERS: given.model_copy(update=one),
        BOX_METRIC: given.model_copy(update={**boxes, "score_threshold": threshold}),
        WITH_ALPHA: given.model_copy(update={**one, "alpha": alpha}),
    }
    return chosen, {**best, "alpha": alpha}


def _metrics_of(name: str, how: Measuring) -> list[str]:
    """The metrics that are measured at cut-offs chosen for something."""
    return [metric for metric in how.metrics if (metric == BOX_METRIC) == (name == BOX_METRIC)]


def _best(table: SearchTable, by_cutoff: Scan, metric: str, tried: Sequence[float]) -> float:
    at = [table.grid(cutoff) for cutoff in tried]
    return tried[int(np.argmax(getattr(by_cutoff, metric)[at]))]


def _given(reading: Reading, how: Measuring) -> Mapping[str, Any]:
    """Cut-offs that are not searched: the recipe's, or another method's."""
    if reading.method is None:
        return how.given
    return METHODS[reading.method].preset_cutoffs.get(PRESET_OF_READINGS, {})


def _localizer(model: Path, reading: Reading) -> Localizer:
    """The model, read by its own or by another method."""
    card = read_card(model)
    method, options = reading_options(card.method, card.method_options, reading)
    kind = METHODS[method]
    parsed = kind.options_type.parse(options, f"reading by {method}")
    changes = {"method": method, "method_options": parsed.model_dump(mode="json")}
    read_as = card.model_copy(update=changes)
    return Localizer(load_network(model, read_as), read_as, str(model))
