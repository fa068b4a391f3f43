"""Boxes of predicted classes: F1 and VOC's average precision, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prediction_cases import PLAIN, SIDE, box_map, detected, image_of, measure, truth_of

from workloads.detections import Detections
from workloads.localization.boxes import iou_matrix
from workloads.metrics.matching import (
    FALSE_POSITIVE,
    IGNORED,
    TRUE_POSITIVE,
    count_matches,
    match,
    match_devkit,
)

# Box F1


def test_box_f1():
    two = box_map(SIDE, SIDE, (0, 0, 10, 10, 1.0), (12, 12, 18, 18, 0.9))
    truth = truth_of((0, 0, 10, 10, 0), (12, 12, 18, 18, 0))
    images = [
        # Class 0 found, its second object missed; class 1 detected but absent.
        image_of(truth, {0: two, 1: two}, (0.9, 0.8, 0.1)),
        # Class 2 present but below the threshold.
        image_of(truth_of((0, 0, 10, 10, 2)), {2: two}, (0.1, 0.1, 0.4)),
    ]
    found = measure("box_f1", images)
    details = found.details
    counts = ("true_positives", "false_positives", "false_negatives")
    assert [details[k] for k in counts] == [1, 1, 2]
    assert found.value == pytest.approx(2 / 5)
    assert found.per_class == pytest.approx({0: 2 / 3, 1: 0.0, 2: 0.0})
    assert details["mean_over_classes"] == pytest.approx(2 / 9)
    assert details["precision"] == pytest.approx(1 / 2)
    assert details["recall"] == pytest.approx(1 / 3)
    assert (found.counted, found.skipped, found.centre) == (3, 0, None)


def test_each_box_is_found_once():
    three = box_map(SIDE, SIDE, (0, 0, 10, 10, 1.0), (12, 0, 14, 2, 0.9), (12, 12, 18, 18, 0.8))
    truth = truth_of((0, 0, 10, 10, 0), (12, 12, 18, 18, 0))
    found = measure("box_f1", [image_of(truth, {0: three}, box_rule="all")])
    assert found.details["true_positives"] == 2
    assert found.details["false_positives"] == 1
    nested = truth_of((0, 0, 10, 8, 0), (0, 0, 10, 10, 0))
    both = measure("box_f1", [image_of(nested, {0: three})])
    assert (both.details["true_positives"], both.details["false_negatives"]) == (1, 1)


@pytest.mark.parametrize("flags", [(True, False), (False, True)])
def test_difficult_objects_and_crowds_are_neither_found_nor_missed(flags):
    truth = truth_of((0, 0, 10, 10, 0, *flags), (12, 12, 18, 18, 1))
    found = measure("box_f1", [image_of(truth, {0: PLAIN, 1: PLAIN}, (0.9, 0.9, 0.1))])
    assert found.details["ignored_detections"] == 1
    assert found.details["false_positives"] == 1  # class 1, beside its object
    assert found.details["false_negatives"] == 1
    assert (found.counted, found.skipped) == (1, 1)


def test_an_easy_object_is_taken_before_a_difficult_one():
    truth = truth_of((0, 0, 10, 10, 0, True), (0, 0, 10, 7, 0))
    assert measure("box_f1", [image_of(truth, {0: PLAIN})]).value == 1.0


def test_classes_without_boxes_or_maps_are_not_judged():
    found = measure("box_f1", [image_of(truth_of(labels=(0,)), {0: PLAIN}, (0.9, 0.9, 0.1))])
    assert found.details["ignored_detections"] == 1
    assert found.details["classes_without_map"] == 1  # class 1
    assert math.isnan(found.value)


@settings(max_examples=100)
@given(st.integers(0, 10_000), st.sampled_from([0.1, 0.3, 0.5]))
def test_counts_at_several_cutoffs_are_those_of_each(seed, iou):
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 12, (20, 2))
    boxes = np.hstack([corners, corners + rng.integers(2, 9, (20, 2))]).astype(np.float32)
    objects = np.hstack([boxes[:4], rng.integers(0, 2, (4, 1)), rng.random((4, 2)) < 0.3])
    truth = truth_of(*objects.tolist())
    levels, given_boxes = np.sort(rng.integers(0, 5, 12)), boxes[rng.permutation(20)[:12]]
    true, false = count_matches(levels, given_boxes, truth, 0, iou, 5)
    for k in range(5):
        outcomes = match(given_boxes[levels == k], truth, 0, iou)
        assert true[k] == (outcomes == TRUE_POSITIVE).sum()
        assert false[k] == (outcomes == FALSE_POSITIVE).sum()


# VOC's average precision

HIT, MISS = (0, 0, 10, 10), (10, 10, 20, 20)


def boxed(image_id, score, *boxes, **truth):
    """The model finds the box HIT with a score."""
    return image_of(truth_of(*boxes, **truth), {0: PLAIN}, (score, 0.0), image_id)


def test_voc_ap():
    images = [
        boxed("a", 0.9, (*HIT, 0), (12, 12, 18, 18, 0)),  # one found, one missed
        boxed("b", 0.8, (*MISS, 0)),  # false, and one more missed
        boxed("c", 0.7, (*HIT, 0)),  # found
        boxed("d", 0.1),  # false
    ]
    area, eleven = (measure(name, images, 2) for name in ("voc_ap", "voc_ap_11pt"))
    # Ranked + - + - of four boxes: precision 1 at recall 1/4, 2/3 at 1/2, then nothing.
    assert area.value == pytest.approx((1 + 2 / 3) / 4)
    assert area.per_class == pytest.approx({0: 5 / 12})
    # Recall 0 .. 0.2 reads 1 (three points), 0.3 .. 0.5 reads 2/3 (three), the rest 0.
    assert eleven.value == pytest.approx((3 + 3 * 2 / 3) / 11)
    assert (area.counted, area.skipped, area.centre) == (4, 0, None)
    assert area.details == {
        "true_positives": 2,
        "false_positives": 2,
        "false_negatives": 2,
        "ignored_detections": 0,
    }


def test_ap_has_its_own_score_threshold():
    images = [boxed("a", 0.3, (*HIT, 0)), boxed("b", 0.2, (*HIT, 0))]
    assert measure("voc_ap", images, 2).value == 1.0  # both are under the model's threshold
    assert measure("voc_ap", images, 2, ap_score_threshold=0.25).value == 1 / 2
    assert measure("voc_ap", images, 2, ap_score_threshold=0.5).value == 0.0


def test_voc_ap_at_another_iou_and_width():
    images = [boxed("a", 0.9, (0, 0, 7, 7, 0))]  # 49 / 100, or 64 / 121
    assert measure("voc_ap", images, 2).value == 0.0
    assert measure("voc_ap", images, 2, iou=0.49).value == 1.0
    assert measure("voc_ap", images, 2, box_widths="plus_one").value == 1.0


def test_what_voc_ap_does_not_judge():
    images = [
        boxed("a", 0.3, (*HIT, 0)),
        boxed("b", 0.9, (*HIT, 0, True)),  # difficult
        boxed("c", 0.9, (*HIT, 0, False, True)),  # a crowd
        boxed("d", 0.9, labels=(0,)),  # there, but without a box
    ]
    found = measure("voc_ap", images, 2)
    assert (found.value, found.counted, found.skipped) == (1.0, 1, 2)
    assert found.details["ignored_detections"] == 3
    assert measure("voc_ap", [*images, boxed("e", 0.9)], 2).value == 1 / 2  # - +


def test_the_box_rule_is_the_models():
    two = box_map(SIDE, SIDE, (0, 0, 10, 10, 1.0), (12, 12, 18, 18, 0.5))
    truth = truth_of((0, 0, 10, 10, 0), (12, 12, 18, 18, 0))
    for rule, expected in (("largest", 1 / 2), ("all", 1.0)):
        image = image_of(truth, {0: two}, (0.9,), box_rule=rule)
        assert measure("voc_ap", [image], 1).value == expected


# Matching


def test_the_devkit_compares_with_one_box_only():
    truth = truth_of((0, 0, 10, 10, 0), (0, 0, 10, 8, 0))
    # The second overlaps the first box most (.9), which is taken; the other would do (80 / 90).
    found = np.array([[0, 0, 10, 10], [0, 0, 10, 9]], np.float32)
    assert match_devkit(found, truth, 0, 0.5).tolist() == [TRUE_POSITIVE, FALSE_POSITIVE]
    assert match(found, truth, 0, 0.5).tolist() == [TRUE_POSITIVE, TRUE_POSITIVE]


def test_for_the_devkit_a_difficult_box_may_hide_an_easy_one():
    truth = truth_of((0, 0, 10, 10, 0, True), (0, 0, 10, 7, 0))
    found = np.array([[0, 0, 10, 10]], np.float32)
    assert match_devkit(found, truth, 0, 0.5).tolist() == [IGNORED]
    assert match(found, truth, 0, 0.5).tolist() == [TRUE_POSITIVE]


def slow_devkit(boxes, truth, label, iou):
    """VOCevaldet, line by line."""
    outcomes, taken = [], set()
    of_class = np.flatnonzero(truth.box_labels == label)
    for box in boxes:
        best, best_iou = None, -math.inf
        for j in of_class:
            overlap = iou_matrix(box[None], truth.boxes_xyxy[[j]])[0, 0]
            if overlap > best_iou:
                best, best_iou = j, overlap
        if best is None or best_iou < iou:
            outcomes.append(FALSE_POSITIVE)
        elif truth.box_difficult[best] or truth.box_crowd[best]:
            outcomes.append(IGNORED)
        elif best in taken:
            outcomes.append(FALSE_POSITIVE)
        else:
            taken.add(best)
            outcomes.append(TRUE_POSITIVE)
    return outcomes


def random_boxes(rng, count):
    """Boxes on a coarse grid, so that many overlap and some equally."""
    corners = rng.integers(0, 5, (count, 2))
    return np.concatenate([corners, corners + rng.integers(1, 5, (count, 2))], axis=1)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 6), st.integers(0, 6), st.sampled_from([0.2, 0.5]))
def test_the_devkits_rule_on_random_boxes(seed, found, truths, iou):
    rng = np.random.default_rng(seed)
    boxes = random_boxes(rng, found).astype(np.float32)
    flags = rng.random((truths, 3)) < 0.3
    rows = zip(random_boxes(rng, truths), flags[:, 0].astype(int), *flags[:, 1:].T, strict=True)
    truth = truth_of(*((*box, *rest) for box, *rest in rows))
    assert match_devkit(boxes, truth, 0, iou).tolist() == slow_devkit(boxes, truth, 0, iou)


def test_thousands_of_detections():
    rng = np.random.default_rng(0)
    images = []
    for n in range(200):
        boxes = np.concatenate([rng.uniform(0, 9, (40, 2)), rng.uniform(10, 20, (40, 2))], axis=1)
        found = Detections(
            boxes.astype(np.float32),
            np.sort(rng.random(40)).astype(np.float32)[::-1],
            np.zeros(40, np.int32),
            20,
            20,
        )
        images.append(detected(f"{n:04}", truth_of((*boxes[0], 0), (*boxes[20], 0)), found))
    found = measure("voc_ap", images, 1)
    assert found.details["true_positives"] + found.details["false_positives"] == 8000
    low, high = found.interval
    assert 0 < low < found.value < high < 1
