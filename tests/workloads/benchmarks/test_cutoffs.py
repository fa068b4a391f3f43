"""The benchmark compares two ways that find the same."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from workloads.benchmarks import cutoffs
from workloads.benchmarks.registry import BENCHMARKS
from workloads.localization.component_tree import best_iou, even_thresholds


def test_the_loop_finds_what_the_tree_finds():
    sample = cutoffs.make_samples(seed=1)[-1]
    thresholds = even_thresholds(40)
    np.testing.assert_allclose(
        cutoffs.loop_best_iou(sample.map01, thresholds, sample.boxes_xyxy),
        best_iou(sample.map01, thresholds, sample.boxes_xyxy),
        atol=0,
    )


def test_the_report(monkeypatch):
    monkeypatch.setattr(cutoffs, "RANDOM_FIELDS", 1)
    monkeypatch.setattr(cutoffs, "BLOB_FIELDS", 1)
    monkeypatch.setitem(cutoffs.REPEATS, "usual", 1)
    threads = cv2.getNumThreads()
    report = BENCHMARKS["cutoffs"]()
    assert report["name"] == "cutoffs"
    assert report["maps"] == 2
    assert report["max_difference"] == 0.0
    assert report["ratio"] == pytest.approx(report["loop_ms"] / report["tree_ms"])
    assert report["ratio"] > 0
    assert cv2.getNumThreads() == threads
