"""Scores and maps to detections."""

from __future__ import annotations

import numpy as np
import pytest
from prediction_cases import box_map

from workloads.errors import NotFound
from workloads.localization.boxes import boxes_at
from workloads.localization.cutoffs import Cutoffs
from workloads.localization.detect import detect, locate

NOTHING = np.zeros((3, 3))


def run(scores, maps, cooccurrence=NOTHING, width=8, height=6, **cutoffs):
    def maps_of(label):
        if label not in maps:
            raise NotFound(f"no map of class {label}")
        return (maps[label],)

    return detect(
        np.array(scores, np.float32), maps_of, width, height, Cutoffs(**cutoffs), cooccurrence
    )


def test_one_box_per_class_best_first():
    maps = {0: box_map(8, 6, (1, 1, 3, 3, 2.0)), 2: box_map(8, 6, (4, 2, 8, 6, 7.0))}
    found = run([0.6, 0.4, 0.9], maps)
    assert found.boxes_xyxy.tolist() == [[4, 2, 8, 6], [1, 1, 3, 3]]
    assert found.labels.tolist() == [2, 0]
    np.testing.assert_array_equal(found.scores, np.array([0.9, 0.6], np.float32))
    assert (found.width, found.height) == (8, 6)


def test_a_score_equal_to_the_threshold_counts():
    maps = {k: box_map(8, 6, (0, 0, 2, 2, 1.0)) for k in range(3)}
    # 0.3 is not a float32: the threshold is rounded as the score is.
    assert run([0.3, 0.29, 0.3], maps, score_threshold=0.3).labels.tolist() == [0, 2]


def test_the_cutoff_is_relative_to_the_normalised_map():
    maps = {0: box_map(8, 6, (0, 0, 8, 6, -5.0), (0, 0, 4, 4, 0.0), (1, 1, 3, 3, 5.0))}
    assert run([1, 0, 0], maps, cutoff=0.4).boxes_xyxy.tolist() == [[0, 0, 4, 4]]
    assert run([1, 0, 0], maps, cutoff=0.5).boxes_xyxy.tolist() == [[1, 1, 3, 3]]


def test_maps_are_upsampled_to_the_image():
    half = np.zeros((3, 4), np.float32)
    half[:, :2] = 1.0
    found = run([1, 0, 0], {0: half}, width=16, height=6, cutoff=0.5)
    assert found.boxes_xyxy.tolist() == [[0, 0, 8, 6]]


def test_all_components_keep_an_order():
    maps = {
        0: box_map(8, 6, (0, 0, 2, 2, 1.0), (6, 4, 8, 6, 2.0)),
        1: box_map(8, 6, (0, 3, 2, 6, 1.0), (5, 0, 8, 2, 1.0)),
    }
    found = run([0.8, 0.8, 0.0], maps, box_rule="all")
    # The hottest component has the class score; ties go by class, then in raster order.
    assert found.labels.tolist() == [0, 1, 1, 0]
    assert found.boxes_xyxy.tolist() == [[6, 4, 8, 6], [5, 0, 8, 2], [0, 3, 2, 6], [0, 0, 2, 2]]
    np.testing.assert_array_equal(found.scores, np.array([0.8, 0.8, 0.8, 0.4], np.float32))


def test_the_largest_component_has_the_class_score_even_if_it_is_not_the_hottest():
    maps = {0: box_map(8, 6, (0, 0, 4, 4, 1.0), (6, 4, 8, 6, 2.0))}
    found = run([0.8, 0, 0], maps)
    assert found.boxes_xyxy.tolist() == [[0, 0, 4, 4]]
    assert found.scores.tolist() == [np.float32(0.8)]


def test_context_can_lift_a_class_over_the_threshold():
    maps = {k: box_map(8, 6, (0, 0, 2, 2, 1.0)) for k in range(3)}
    together = np.array([[0, 0.5, 0], [0, 0, 0], [0, 0, 0]])
    assert run([0.25, 0.5, 0], maps, together).labels.tolist() == [1]
    assert run([0.25, 0.5, 0], maps, together, alpha=1.0).labels.tolist() == [0, 1]
    assert run([0.25, 0.75, 0], maps, together, alpha=1.0).scores.tolist() == [0.75, 0.625]


def test_constant_maps_give_no_box():
    assert len(run([1, 0, 0], {0: np.full((2, 2), 3.0, np.float32)}, cutoff=0.0)) == 0


def test_nothing_over_the_threshold():
    found = run([0.1, 0.2, 0.3], {})
    assert found.boxes_xyxy.shape == (0, 4)
    assert found.labels.dtype == np.int32


def test_only_candidates_are_asked_for_maps():
    asked = []

    def boxes_of(label):
        asked.append(label)
        return boxes_at(box_map(8, 6, (0, 0, 2, 2, 1.0)), 0.3)

    scores = np.ones(5, np.float32)
    assert locate(scores, boxes_of, 8, 6, Cutoffs(), [3, 1]).labels.tolist() == [1, 3]
    assert asked == [1, 3]


def test_a_missing_map_is_an_error():
    with pytest.raises(NotFound):
        run([1, 0, 0], {})
