"""Average precision by hand, and against the definition written down step by step."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.metrics.average_precision import (
    average_precision,
    class_flags,
    mean_average_precision,
    per_class_average_precision,
)


def ap(scores, positive, missed=0):
    """Area and 11-point value of the data themselves."""
    found = average_precision(
        np.array(scores, np.float32), np.array(positive, bool), missed=np.array([missed])
    )
    return found.area[0], found.eleven_point[0]


def test_by_hand():
    # Ranked + - + - +: precision 1, 2/3, 3/5 at recall 1/3, 2/3, 1.
    area, eleven_point = ap([0.9, 0.8, 0.7, 0.6, 0.5], [1, 0, 1, 0, 1])
    assert area == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    # Recall 0 .. 0.3 reads 1 (four points), 0.4 .. 0.6 reads 2/3 (three), 0.7 .. 1 reads 3/5.
    assert eleven_point == pytest.approx((4 * 1 + 3 * 2 / 3 + 4 * 3 / 5) / 11)


def test_precision_is_the_best_at_any_higher_recall():
    # Ranked - + +: precision 1/2 then 2/3, so 2/3 everywhere.
    assert ap([0.9, 0.8, 0.7], [0, 1, 1]) == pytest.approx((2 / 3, 2 / 3))


def test_equal_scores_enter_together():
    expected = ap([0.5, 0.5, 0.5, 0.1], [1, 0, 0, 1])
    assert expected[0] == pytest.approx(0.5)  # 1/3 then 2/4, so 1/2 everywhere
    assert ap([0.5, 0.5, 0.5, 0.1], [0, 0, 1, 1]) == expected


def test_recall_is_compared_exactly():
    # 3 of 10 reach recall 0.3, though 3 * 0.1 is 0.30000000000000004.
    _, eleven_point = ap(np.linspace(1, 0, 17), [1, 1, 1] + [0] * 7 + [1] * 7)
    # Recall 0 .. 0.3 reads 1; after that the best is at the end, 10 of 17.
    assert eleven_point == pytest.approx((4 + 7 * 10 / 17) / 11)


def test_missed_positives_lower_recall():
    # Ranked + - +, of four: precision 1 at 1/4, 2/3 at 2/4, then nothing.
    area, eleven_point = ap([0.9, 0.8, 0.7], [1, 0, 1], missed=2)
    assert area == pytest.approx((1 + 2 / 3) / 4)
    assert eleven_point == pytest.approx((3 * 1 + 3 * 2 / 3) / 11)
    assert ap([], [], missed=1) == (0.0, 0.0)
    assert ap([0.5], [0], missed=1) == (0.0, 0.0)


def test_without_positives_there_is_no_value():
    assert all(math.isnan(v) for v in ap([0.5, 0.1], [0, 0]))
    assert all(math.isnan(v) for v in ap([], []))
    assert math.isnan(mean_average_precision(np.ones((2, 1)), np.zeros((2, 1)), np.zeros((2, 1))))


def test_difficult_images_are_skipped_per_class():
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]], np.float32)
    positive = np.array([[0, 1], [1, 0], [0, 0]], bool)
    difficult = np.array([[1.0, 0], [0, 0], [0, 1.0]], np.float32)
    # Class 0 loses its false first image, class 1 its false last one: - + without it.
    assert mean_average_precision(scores, positive, difficult) == pytest.approx((1 + 1 / 2) / 2)


def test_classes_without_positives_have_no_value():
    positive = np.array([[True, False, False], [False, False, False]])
    scores, skip = np.ones((2, 3), np.float32), np.zeros((2, 3), bool)
    missed = np.array([[0, 0, 2]])
    found = per_class_average_precision(scores, positive, skip, missed=missed)
    np.testing.assert_array_equal(found.area, [[0.5, np.nan, 0.0]])
    np.testing.assert_array_equal(found.eleven_point, [[0.5, np.nan, 0.0]])
    assert mean_average_precision(scores, positive, skip) == 0.5


def test_class_flags():
    np.testing.assert_array_equal(
        class_flags([(0, 2), ()], 3), [[True, False, True], [False, False, False]]
    )
    assert class_flags([], 3).shape == (0, 3)


def by_definition(cases, missed):
    """Exact area and 11-point value of (score, positive) rows; equal scores enter together."""
    total = sum(positive for _, positive in cases) + missed
    points = []  # recall and precision behind each different score
    for score in sorted({score for score, _ in cases}, reverse=True):
        taken = [positive for s, positive in cases if s >= score]
        points.append((Fraction(sum(taken), total), Fraction(sum(taken), len(taken))))

    def best(recall):
        return max((p for r, p in points if r >= recall), default=Fraction(0))

    recalls = [Fraction(0), *sorted({r for r, _ in points})]
    area = sum((b - a) * best(b) for a, b in pairwise(recalls))
    return float(area), float(sum(best(Fraction(t, 10)) for t in range(11)) / 11)


CASES = st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 3)), max_size=12)


@settings(deadline=None)
@given(CASES, st.integers(0, 3))
def test_a_layer_is_the_plain_value_of_the_repeated_cases(cases, missed):
    scores = np.array([score / 8 for score, _, _ in cases], np.float32)
    positive = np.array([flag for _, flag, _ in cases], bool)
    times = np.array([weight for _, _, weight in cases], np.uint8)
    weights = np.stack([np.ones_like(times), times], axis=1)
    found = average_precision(scores, positive, weights, np.array([missed, missed]))
    for layer in (0, 1):
        repeated = [
            (score, flag)
            for (score, flag, _), w in zip(cases, weights[:, layer], strict=True)
            for _ in range(w)
        ]
        values = found.area[layer], found.eleven_point[layer]
        if sum(flag for _, flag in repeated) + missed:
            assert values == pytest.approx(by_definition(repeated, missed), abs=1e-14)
        else:
            assert all(math.isnan(value) for value in values)


@settings(deadline=None)
@given(CASES.filter(bool), st.randoms())
def test_the_order_of_the_cases_does_not_matter(cases, random):
    """Bit for bit, in every layer: equal scores are added in one step."""

    def value(rows):
        scores, positive, times = (np.array(column) for column in zip(*rows, strict=True))
        weights = np.stack([times, 3 * times, 7 - times], axis=1).astype(np.uint8)
        found = average_precision(scores / 8, positive, weights)
        return np.array(found).tobytes()

    shuffled = list(cases)
    random.shuffle(shuffled)
    assert value(shuffled) == value(cases)


def test_cases_may_share_a_row_of_weights():
    rng = np.random.default_rng(0)
    scores, positive = rng.random(50), rng.random(50) < 0.3
    weights = rng.integers(0, 4, (8, 5)).astype(np.uint8)
    rows = rng.integers(0, 8, 50)
    shared = average_precision(scores, positive, weights, rows=rows)
    np.testing.assert_array_equal(shared, average_precision(scores, positive, weights[rows]))
