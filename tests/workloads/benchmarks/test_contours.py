"""The benchmarks of the toolkit's protocol compare what they say they do."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from workloads.benchmarks import contours, protocols
from workloads.benchmarks.registry import BENCHMARKS
from workloads.localization.boxes import best_iou_per_box
from workloads.localization.component_tree import best_iou, even_thresholds, largest_iou
from workloads.localization.contour_kernels import best_outer
from workloads.localization.contour_protocol import (
    contour_sweep,
    protocol_boxes,
    protocol_map,
    protocol_taus,
    quantized,
)
from workloads.localization.maps import normalize, upsample


def test_the_loop_finds_what_the_sweep_finds():
    levels = np.random.default_rng(0).integers(0, 6, (20, 30)).astype(np.uint8)
    gt, taus = np.array([[3, 2, 11, 9], [0, 0, 5, 19]]), np.linspace(0, 1, 40)
    loop, found = contours.loop_sweep(levels, gt, taus), contour_sweep(levels, gt, taus)
    for ours, theirs in zip(found, loop, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_report_on_speed(monkeypatch):
    monkeypatch.setattr(contours, "RANDOM_FIELDS", 1)
    monkeypatch.setattr(contours, "BLOB_FIELDS", 1)
    monkeypatch.setitem(contours.REPEATS, "usual", 1)
    threads = cv2.getNumThreads()
    report = BENCHMARKS["contours"]()
    assert report["name"] == "contours"
    assert report["maps"] == 2
    assert report["max_difference"] == 0.0
    assert report["identical_counts"] is True
    assert report["ratio"] == pytest.approx(report["loop_ms"] / report["sweep_ms"])
    assert report["ratio"] > 0
    assert cv2.getNumThreads() == threads


def test_outer_contours_are_the_components():
    levels = np.random.default_rng(0).integers(0, 4, (15, 12)).astype(np.uint8)
    gt = np.array([[3, 2, 8, 9]])
    for cut in range(4):
        mask = (levels > cut).astype(np.uint8)
        stats = cv2.connectedComponentsWithStats(mask, connectivity=8)[2][1:]
        boxes = contours.clipped_boxes(stats[:, :4], 12, 15) if len(stats) else np.zeros((1, 4))
        assert best_outer(levels, gt)[cut] == best_iou_per_box(boxes, gt, "plus_one").max()


def test_the_ladder_goes_from_the_tree_to_the_toolkit():
    for case in protocols.make_cases(4, seed=1):
        raw, width, height, boxes = case
        map01, thresholds = normalize(upsample(raw, width, height)), even_thresholds()
        first = protocols.LADDER[0].score(case)
        np.testing.assert_array_equal(first.largest_iou, largest_iou(map01, thresholds, boxes))
        np.testing.assert_array_equal(first.best_iou, best_iou(map01, thresholds, boxes))
        levels, scaled = quantized(protocol_map(raw)), protocol_boxes(boxes, width, height)
        loop = contours.loop_sweep(levels, scaled, protocol_taus())
        last = protocols.LADDER[-1].score(case)
        np.testing.assert_array_equal(last.largest_iou, loop.largest_iou)
        np.testing.assert_array_equal(last.best_iou, loop.best_iou)


def test_the_report_on_the_protocols(monkeypatch):
    monkeypatch.setitem(protocols.MAPS, "quick", 8)
    report = protocols.compare_protocols("quick")
    rungs = report["rungs"]
    assert report["name"] == "protocols"
    assert report["maps"] == 8
    assert [rung["step"] for rung in rungs] == [rung.step for rung in protocols.LADDER]
    for metric in ("max_box_acc", "max_box_acc_v2"):
        difference = rungs[-1][metric] - rungs[0][metric]
        assert report[f"{metric}_difference"] == pytest.approx(difference)
        steps = [rung["changed_decisions"][metric] for rung in rungs]
        assert steps[0] == 0.0
        assert 0.0 < report["changed_decisions"][metric] <= sum(steps)
        assert 0.0 < rungs[0][metric] <= 1.0
    assert report["ratio"] == pytest.approx(rungs[0]["ms"] / rungs[-1]["ms"])
