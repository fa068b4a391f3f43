"""The search table against full evaluations."""

from __future__ import annotations

import json
import pickle
import time
from dataclasses import replace

import numpy as np
import pytest
from prediction_cases import box_map, prediction_of, random_predictions, truth_of

from workloads.localization.cutoffs import Cutoffs
from workloads.metrics.evaluation import evaluate_predictions
from workloads.metrics.options import MetricOptions
from workloads.metrics.registry import build_metrics
from workloads.search.objective import cutoff_curve, objective
from workloads.search.table import SearchTable

CLASSES = 4
IMAGES = random_predictions(seed=3, images=60, classes=CLASSES)
TOGETHER = np.random.default_rng(7).random((CLASSES, CLASSES)) / 4


@pytest.fixture(scope="module")
def table():
    return SearchTable.build(IMAGES, TOGETHER)


def evaluation(cutoffs, *names):
    metrics = build_metrics(names, CLASSES)
    evaluate_predictions(IMAGES, cutoffs, TOGETHER, metrics)
    return {name: metric.result().value for name, metric in metrics.items()}


@pytest.mark.parametrize("cutoff", [0.0, 0.2, 0.433, 0.7, 0.999])
@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_a_trial_is_what_evaluation_finds(table, cutoff, alpha):
    trial = objective(table, cutoff, alpha)
    cutoffs = Cutoffs(cutoff=trial["cutoff"], alpha=alpha, score_threshold=trial["score_threshold"])
    found = evaluation(cutoffs, "gt_known", "classification_map", "box_f1")
    assert found == {name: trial[name] for name in found}


def with_more(image, seed, scales):
    """The image with regions, the true boxes among them, and with its maps mirrored as a scale."""
    low = np.random.default_rng(seed).integers(0, 12, (10, 2))
    regions = np.concatenate([low, low + 9], axis=1).astype(np.float32)
    return replace(
        image,
        regions_xyxy=np.concatenate([regions, image.truth.boxes_xyxy]),
        scales=(image.maps, image.maps[:, :, ::-1])[:scales],
    )


@pytest.mark.parametrize("scales", [1, 2])
@pytest.mark.parametrize(
    "chosen",
    [
        {"box_rule": "tight"},
        {"box_rule": "regions"},
        {"box_rule": "largest", "upsample": "last"},
        {"box_rule": "tight", "threshold": "mean", "min_box_px": 3.0},
        {"box_rule": "largest", "threshold": "mean", "nms_iou": 0.5, "box_score": "mean"},
        {"box_rule": "largest", "nms_iou": 0.3, "min_box_px": 4.0},
        {"box_rule": "all"},
        {"box_rule": "all", "upsample": "last", "box_score": "mean", "nms_iou": 0.4},
        {"box_rule": "regions", "box_score": "mean"},
        {"box_rule": "largest", "relative_to": "max"},
        {"box_rule": "all", "relative_to": "nothing", "box_score": "raw_mean", "heat_above": 0.3},
        {"box_rule": "all", "connectivity": 4, "box_score": "raw_component", "nms_iou": 0.5},
        {"box_rule": "largest", "align_corners": True, "threshold": "mean", "connectivity": 4},
        {"box_rule": "all", "scales": "mean"},
        {"box_rule": "largest", "scales": "mean", "upsample": "last", "relative_to": "max"},
        {"box_rule": "all", "scales": "main", "box_score": "mean"},
    ],
)
def test_the_search_has_the_boxes_of_the_model(chosen, scales):
    rows = [with_more(image, seed, scales) for seed, image in enumerate(IMAGES)]
    model = Cutoffs.model_validate(chosen)
    options = MetricOptions(thresholds=20, bootstrap=0)
    table = SearchTable.build(rows, TOGETHER, options, model)
    names = ["gt_known", "box_f1"]
    trials = [objective(table, cutoff, 0.1) for cutoff in (0.1, 0.45)]
    for trial in trials:
        found = {k: trial[k] for k in ("cutoff", "score_threshold")}
        metrics = build_metrics(names, CLASSES, options)
        cutoffs = model.model_copy(update={"alpha": 0.1, **found})
        evaluate_predictions(rows, cutoffs, TOGETHER, metrics)
        assert {k: m.result().value for k, m in metrics.items()} == {k: trial[k] for k in names}
    same = trials[0]["gt_known"] == trials[1]["gt_known"]
    assert same == (model.threshold == "mean")


def test_a_cutoff_for_each_class_is_what_evaluation_finds(table):
    of_class = (0.1, 0.3, 0.45, 0.7)
    trial = objective(table, 0.2, 0.3, of_class)
    threshold = trial["score_threshold"]
    cutoffs = Cutoffs(class_cutoffs=of_class, alpha=0.3, score_threshold=threshold)
    found = evaluation(cutoffs, "gt_known", "classification_map", "box_f1")
    assert found == {name: trial[name] for name in found}
    assert objective(table, 0.2, 0.3, (0.2,) * CLASSES) == objective(table, 0.2, 0.3)


def test_no_score_threshold_is_better(table):
    trial = objective(table, 0.5, 0.4)
    for threshold in np.linspace(0, 1.5, 31):
        cutoffs = Cutoffs(cutoff=0.5, alpha=0.4, score_threshold=float(threshold))
        assert evaluation(cutoffs, "box_f1")["box_f1"] <= trial["box_f1"]


def test_the_cutoff_is_rounded_to_the_grid(table):
    trial = objective(table, 0.43349, 0.0)
    assert trial == objective(table, 0.433, 0.0)
    assert trial["cutoff"] == 0.433
    assert objective(table, 0.99999, 0.0)["cutoff"] == 0.999


def test_the_curve_is_what_evaluation_finds(table):
    curve = cutoff_curve(table)
    for k in (0, 300, 612):
        value = evaluation(Cutoffs(cutoff=k / 1000), "gt_known")["gt_known"]
        assert curve["gt_known"][k] == value
    assert curve["max_box_acc_v2"] == evaluation(Cutoffs(), "max_box_acc_v2")["max_box_acc_v2"]
    best = curve["cutoffs"].index(curve["best_cutoff"])
    assert curve["gt_known"][best] == max(curve["gt_known"])
    assert [len(c) for c in curve["max_box_acc"].values()] == [1000] * 3
    json.dumps([curve, objective(table, 0.5, 0.1)], allow_nan=False)


def test_by_hand():
    hot = box_map(20, 20, (0, 0, 10, 10, 1.0))
    rows = [
        prediction_of("a", truth_of((0, 0, 10, 10, 0)), [0.9, 0.7], {0: hot, 1: hot}),
        prediction_of("b", truth_of((0, 0, 10, 10, 1)), [0.2, 0.6], {0: hot, 1: hot}),
        prediction_of("c", truth_of((12, 12, 20, 20, 0)), [0.5, 0.1], {0: hot, 1: hot}),
    ]
    trial = objective(SearchTable.build(rows, np.zeros((2, 2))), 0.5, 0.0)
    # By score: .9 true, .7 false, .6 true, .5 false ...; 3 objects. F1 2/4, 2/5, 4/6, 4/7.
    assert trial["box_f1"] == pytest.approx(2 / 3)
    assert trial["score_threshold"] == np.float32(0.6)
    assert trial["gt_known"] == pytest.approx(2 / 3)
    assert trial["classification_map"] == pytest.approx((1.0 + 0.5) / 2)


def test_without_any_box_the_default_threshold_stands():
    flat = np.zeros((20, 20), np.float32)
    rows = [prediction_of("a", truth_of((0, 0, 10, 10, 0)), [0.9], {0: flat})]
    trial = objective(SearchTable.build(rows, np.zeros((1, 1))), 0.5, 0.0)
    assert trial["box_f1"] == 0.0
    assert trial["score_threshold"] == Cutoffs().score_threshold


def test_nothing_to_search_on():
    with pytest.raises(ValueError, match="nothing to search on"):
        SearchTable.build([], TOGETHER)


def test_fewer_thresholds_and_another_iou():
    table = SearchTable.build(IMAGES, TOGETHER, MetricOptions(thresholds=20, iou=0.3))
    assert len(cutoff_curve(table)["gt_known"]) == 20
    assert objective(table, 0.26, 0.0)["cutoff"] == 0.25


@pytest.mark.parametrize(
    "chosen", [{"iou": 0.3}, {"box_widths": "plus_one"}, {"blacklisted": "count"}]
)
def test_the_options_of_metrics_are_those_of_the_search(chosen):
    options = MetricOptions(thresholds=20, bootstrap=0, **chosen)
    table = SearchTable.build(IMAGES, TOGETHER, options)
    metrics = build_metrics(["box_f1", "gt_known"], CLASSES, options)
    trial = objective(table, 0.3, 0.0)
    cutoffs = Cutoffs(cutoff=0.3, score_threshold=trial["score_threshold"])
    evaluate_predictions(IMAGES, cutoffs, TOGETHER, metrics)
    assert trial != objective(SearchTable.build(IMAGES, TOGETHER), 0.3, 0.0)
    assert {k: m.result().value for k, m in metrics.items()} == {
        k: trial[k] for k in ("box_f1", "gt_known")
    }


def test_a_crowd_is_no_single_object():
    # The map points at the crowd: no hit if the class is given, and nothing false either.
    hot = box_map(20, 20, (0, 0, 10, 10, 1.0))
    truth = truth_of((0, 0, 10, 10, 0, False, True), (12, 12, 20, 20, 0))
    rows = [prediction_of("a", truth, [0.9], {0: hot})]
    trial = objective(SearchTable.build(rows, np.zeros((1, 1))), 0.5, 0.0)
    assert (trial["gt_known"], trial["box_f1"]) == (0.0, 0.0)
    metrics = build_metrics(["gt_known", "box_f1"], 1)
    evaluate_predictions(rows, Cutoffs(cutoff=0.5), np.zeros((1, 1)), metrics)
    assert metrics["gt_known"].result().value == 0.0
    assert metrics["box_f1"].result().details["ignored_detections"] == 1


def test_the_table_travels_and_trials_are_fast(table):
    table = pickle.loads(pickle.dumps(table))
    start = time.perf_counter()
    objective(table, 0.3, 0.2)
    assert time.perf_counter() - start < 1.0
