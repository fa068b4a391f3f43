"""Metrics of a model from predictions in one call, and their plain JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from prediction_cases import PLAIN, prediction_of, random_predictions, truth_of

from workloads.errors import ConfigError
from workloads.localization.cutoffs import Cutoffs
from workloads.metrics.evaluation import evaluate_predictions, results_json
from workloads.metrics.measure import evaluate
from workloads.metrics.options import MetricOptions
from workloads.metrics.registry import METRICS, build_metrics
from workloads.models.card import ModelCard, Preprocessing

OPTIONS = MetricOptions(thresholds=20, bootstrap=0)


def card(**cutoffs: object) -> ModelCard:
    return ModelCard(
        method="any",
        method_options={},
        backbone="any",
        task="multilabel",
        classes=("a", "b"),
        preprocessing=Preprocessing(size=32, mean=(0, 0, 0), std=(1, 1, 1)),
        cutoffs=Cutoffs.model_validate(cutoffs),
        cooccurrence=((1.0, 0.0), (1.0, 1.0)),
        provenance={},
    )


# The second image has the small box of class 1, where the map has the large one.
ROWS = [
    prediction_of("a", truth_of((0, 0, 10, 10, 0)), [0.9, 0.2], {0: PLAIN}),
    prediction_of("b", truth_of((0, 0, 4, 4, 1)), [0.8, 0.3], {1: PLAIN}),
]


def test_by_hand() -> None:
    results = evaluate(card(cutoff=0.5), iter(ROWS), ["gt_known", "classification_map"], OPTIONS)
    assert list(results) == ["gt_known", "classification_map"]
    assert results["gt_known"].value == 0.5  # IoU 1 and 16 / 100
    assert results["gt_known"].per_class == {0: 1.0, 1: 0.0}
    assert results["classification_map"].value == 1.0


def test_the_cooccurrence_of_the_card_rescores() -> None:
    """With weight 2 class 1 has 0.2 + 2 * 0.9 = 2.0 in image a, above 0.3 + 2 * 0.8 = 1.9 in b."""
    values = {
        alpha: evaluate(card(alpha=alpha), ROWS, ["classification_map"], OPTIONS)
        for alpha in (0.0, 2.0)
    }
    assert values[0.0]["classification_map"].per_class == {0: 1.0, 1: 1.0}
    assert values[2.0]["classification_map"].per_class == {0: 1.0, 1: 0.5}


def test_all_metrics_are_measured_where_none_is_named() -> None:
    rows = random_predictions(seed=1, images=6, classes=2)
    results = evaluate(card(), rows, options=OPTIONS)
    assert list(results) == list(METRICS)
    (name,) = {"box_f1"} & set(results)
    alone = evaluate(card(), rows, [name], OPTIONS)[name]
    assert alone.value == results[name].value


def test_an_unknown_metric_is_said_before_a_prediction_is_read() -> None:
    def unread():
        raise AssertionError
        yield

    with pytest.raises(ConfigError, match=r"unknown metric 'gtknown'; did you mean 'gt_known'\?"):
        evaluate(card(), unread(), ["gtknown"])


def test_json_has_no_nan_and_text_for_keys() -> None:
    names = ("gt_known", "classification_map", "max_box_acc")
    empty, full = (build_metrics(names, 2, OPTIONS) for _ in range(2))
    evaluate_predictions(ROWS, Cutoffs(cutoff=0.5), np.eye(2), full)
    values = {key: results_json(metrics) for key, metrics in (("empty", empty), ("full", full))}
    assert json.loads(json.dumps(values, allow_nan=False)).keys() == values.keys()
    assert values["empty"]["gt_known"]["value"] is None  # type: ignore[index]
    assert values["full"]["gt_known"]["per_class"] == {"0": 1.0, "1": 0.0}  # type: ignore[index]
    assert list(values["full"]) == list(names)
