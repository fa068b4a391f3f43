"""Average precision by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from workloads.metrics.average_precision import (
    average_precision,
    mean_average_precision,
    per_class_average_precision,
)


def ap(scores, positive):
    return average_precision(np.array(scores, np.float32), np.array(positive, bool))


def test_by_hand():
    # Ranked + - + - +: precision 1, 2/3, 3/5 at recall 1/3, 2/3, 1.
    found = ap([0.9, 0.8, 0.7, 0.6, 0.5], [1, 0, 1, 0, 1])
    assert found.area == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    # Recall 0 .. 0.3 reads 1 (four points), 0.4 .. 0.6 reads 2/3 (three), 0.7 .. 1 reads 3/5.
    assert found.eleven_point == pytest.approx((4 * 1 + 3 * 2 / 3 + 4 * 3 / 5) / 11)


def test_precision_is_the_best_at_any_higher_recall():
    # Ranked - + +: precision 1/2 then 2/3, so 2/3 everywhere.
    assert ap([0.9, 0.8, 0.7], [0, 1, 1]) == pytest.approx((2 / 3, 2 / 3))


def test_equal_scores_enter_together():
    expected = ap([0.5, 0.5, 0.5, 0.1], [1, 0, 0, 1])
    assert expected.area == pytest.approx(0.5)  # 1/3 then 2/4, so 1/2 everywhere
    assert ap([0.5, 0.5, 0.5, 0.1], [0, 0, 1, 1]) == expected


def test_recall_is_compared_exactly():
    # 3 of 10 reach recall 0.3, though 3 * 0.1 is 0.30000000000000004.
    found = ap(np.linspace(1, 0, 17), [1, 1, 1] + [0] * 7 + [1] * 7)
    # Recall 0 .. 0.3 reads 1; after that the best is at the end, 10 of 17.
    assert found.eleven_point == pytest.approx((4 + 7 * 10 / 17) / 11)


def test_without_positives_there_is_no_value():
    assert all(math.isnan(v) for v in ap([0.5, 0.1], [0, 0]))
    assert math.isnan(mean_average_precision(np.ones((2, 1)), np.zeros((2, 1)), np.zeros((2, 1))))


def test_difficult_images_are_skipped_per_class():
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]], np.float32)
    positive = np.array([[0, 1], [1, 0], [0, 0]], bool)
    difficult = np.array([[1.0, 0], [0, 0], [0, 1.0]], np.float32)
    # Class 0 loses its false first image, class 1 its false last one: - + without it.
    assert mean_average_precision(scores, positive, difficult) == pytest.approx((1 + 1 / 2) / 2)


def test_classes_without_positives_do_not_enter():
    positive = np.array([[True, False], [False, False]])
    scores, skip = np.ones((2, 2), np.float32), np.zeros((2, 2), bool)
    assert list(per_class_average_precision(scores, positive, skip)) == [0]
