"""Rescoring by co-occurrence."""

from __future__ import annotations

import numpy as np
import pytest

from workloads.localization.cooccurrence import rescore

P = np.array([[1.0, 0.5, 0.0], [0.25, 1.0, 1.0], [0.0, 0.75, 1.0]])
SCORES = np.array([0.5, 0.25, 1.0], np.float32)


def test_by_hand():
    # s0 + 2 (.5 * .25), s1 + 2 (.25 * .5 + 1 * 1), s2 + 2 (.75 * .25)
    assert rescore(SCORES, P, 2.0).tolist() == [0.75, 2.5, 1.375]
    assert rescore(SCORES, P, 2.0).dtype == np.float32


def test_the_diagonal_is_ignored():
    np.testing.assert_array_equal(
        rescore(SCORES, P, 0.3), rescore(SCORES, P - np.diag([1.0, 9.0, -3.0]), 0.3)
    )


def test_without_weight_the_scores_stay_bit_for_bit():
    scores = np.array([0.1, np.float32(1) / 3, 1e-30], np.float32)
    assert rescore(scores, np.zeros((0, 0)), 0.0).tobytes() == scores.tobytes()


def test_many_images_get_the_bits_of_each():
    rng = np.random.default_rng(0)
    p, scores = rng.random((37, 37)), rng.random((50, 37), np.float32)
    together = rescore(scores, p, 0.7)
    for row, expected in zip(scores, together, strict=True):
        assert rescore(row, p, 0.7).tobytes() == expected.tobytes()


def test_a_matrix_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"must be \(3, 3\)"):
        rescore(SCORES, np.zeros((2, 2)), 0.1)
