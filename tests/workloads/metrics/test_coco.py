"""COCO's average precision: by hand, and against pycocotools on files."""

from __future__ import annotations

import contextlib
import io
import json
import math

import numpy as np
import pytest
from prediction_cases import PLAIN, box_map, detected, image_of, measure, truth_of
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from workloads.detections import Detections
from workloads.metrics.matching import TRUE_POSITIVE, match

SIDE, CLASSES = 300, 3
SUMMARY = (
    "ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large",
    "ar_1", "ar_10", "ar_100", "ar_small", "ar_medium", "ar_large",
)  # fmt: skip


def boxed(image_id, score, *boxes, **truth):
    """The model finds the box (0, 0, 10, 10) with a score."""
    return image_of(truth_of(*boxes, **truth), {0: PLAIN}, (score,), image_id)


# By hand (pycocotools' guard against 0 / 0 makes 1 - 2e-16 of 1)


def test_ten_thresholds():
    # 64 / 100 is enough at .50, .55 and .60.
    found = measure("coco_ap", [boxed("a", 0.3, (0, 0, 8, 8, 0))], 1)
    assert found.value == pytest.approx(3 / 10)
    details = found.details
    assert (details["ap50"], details["ap75"]) == pytest.approx((1.0, 0.0))
    assert (details["ap_small"], details["ar_100"]) == pytest.approx((3 / 10, 3 / 10))
    assert math.isnan(details["ap_medium"])
    assert (found.counted, found.skipped, found.centre) == (1, 0, None)


def test_recall_has_101_points():
    # Ranked + - + of four boxes: recall 0 .. 0.25 reads 1 (26 points), .26 .. .50 reads 2/3 (25).
    images = [
        boxed("a", 0.9, (0, 0, 10, 10, 0), (12, 12, 18, 18, 0)),
        boxed("b", 0.8, (12, 12, 18, 18, 0)),
        boxed("c", 0.7, (0, 0, 10, 10, 0)),
    ]
    found = measure("coco_ap", images, 1)
    assert found.value == pytest.approx((26 + 25 * 2 / 3) / 101)
    assert found.details["ar_100"] == pytest.approx(1 / 2)


def test_equal_scores_stand_in_the_order_of_the_image_ids():
    # Ranked + - or - +, as the ids have it: 1, or 1/2 everywhere.
    hit, false = ((0, 0, 10, 10, 0),), ()
    for first, second, expected in ((hit, false, 1.0), (false, hit, 1 / 2)):
        images = [boxed("a", 0.5, *first), boxed("b", 0.5, *second)]
        assert measure("coco_ap", images, 1).value == pytest.approx(expected)
        assert measure("coco_ap", images[::-1], 1).value == pytest.approx(expected)


@pytest.mark.parametrize("flags", [(True, False), (False, True)])
def test_difficult_boxes_and_crowds_are_ignored(flags):
    images = [boxed("a", 0.3, (0, 0, 10, 10, 0)), boxed("b", 0.9, (0, 0, 10, 10, 0, *flags))]
    found = measure("coco_ap", images, 1)
    assert found.value == pytest.approx(1.0)
    assert (found.counted, found.skipped) == (1, 1)


def test_a_crowd_takes_any_number_of_boxes():
    three = box_map(20, 20, (0, 0, 4, 4, 1.0), (6, 6, 9, 9, 1.0), (12, 0, 16, 4, 0.5))
    truth = truth_of((0, 0, 10, 10, 0, False, True), (12, 0, 16, 4, 0))
    image = image_of(truth, {0: three}, (0.9,), box_rule="all")
    assert measure("coco_ap", [image], 1).value == pytest.approx(1.0)  # two lie in the crowd
    without = image_of(truth_of((12, 0, 16, 4, 0)), {0: three}, (0.9,), box_rule="all")
    assert measure("coco_ap", [without], 1).value == pytest.approx(1 / 3)


def test_a_class_without_boxes_is_not_judged():
    images = [boxed("a", 0.3, (0, 0, 10, 10, 0)), boxed("b", 0.9, labels=(0,))]
    assert measure("coco_ap", images, 1).value == pytest.approx(1.0)
    assert measure("coco_ap", [images[0], boxed("b", 0.9)], 1).value == pytest.approx(1 / 2)


# Against pycocotools


def random_boxes(rng, count):
    corners = rng.uniform(0, SIDE / 2, (count, 2))
    sizes = rng.choice([20.0, 60.0, 140.0], (count, 1)) * rng.uniform(0.7, 1.0, (count, 2))
    return np.concatenate([corners, corners + sizes], axis=1).astype(np.float32)


def moved(rng, boxes):
    """Detections near the boxes, and as many anywhere."""
    near = np.clip(boxes + rng.normal(0, 4, boxes.shape), 0, SIDE)
    found = np.concatenate([near, random_boxes(rng, 1 + len(boxes))]).astype(np.float32)
    return found[(found[:, 2:] > found[:, :2] + 1).all(axis=1)]


def random_image(rng, n, most=6, coarse=16, classes=CLASSES):
    """Truth with crowds, and detections with scores of which many are equal."""
    count = int(rng.integers(0, most))
    boxes, labels = random_boxes(rng, count), rng.integers(0, classes, count)
    crowd = rng.random(count) < 0.15
    found = moved(rng, boxes)
    guesses = np.concatenate([labels, rng.integers(0, classes, len(found))])[: len(found)]
    scores = np.sort(rng.integers(1, coarse, len(found)) / coarse)[::-1]
    order = rng.permutation(len(found))
    detections = Detections(
        found[order],
        scores.astype(np.float32),
        guesses[order].astype(np.int32),
        SIDE,
        SIDE,
    )
    rows = zip(boxes, labels, crowd, strict=True)
    truth = truth_of(*((*box, label, False, group) for box, label, group in rows))
    return detected(f"image-{n:04}", truth, detections)


def as_rows(boxes):
    x0, y0, x1, y1 = boxes.astype(np.float64).T
    return np.stack([x0, y0, x1 - x0, y1 - y0], axis=1).tolist()


def on_files(images, folder, classes=CLASSES):
    """COCOeval on the files that COCO's own server would get."""
    annotations, results = [], []
    for n, image in enumerate(images, start=1):
        truth, found = image.prediction.truth, image.detections(0.0)
        rows = zip(as_rows(truth.boxes_xyxy), truth.box_labels, truth.box_crowd, strict=True)
        annotations += [
            {"image_id": n, "category_id": int(k), "bbox": box, "area": box[2] * box[3],
             "iscrowd": int(crowd)} for box, k, crowd in rows
        ]  # fmt: skip
        rows = zip(as_rows(found.boxes_xyxy), found.labels, found.scores, strict=True)
        results += [
            {"image_id": n, "category_id": int(k), "bbox": box, "score": float(score)}
            for box, k, score in rows
        ]
    data = {
        "images": [{"id": n} for n in range(1, 1 + len(images))],
        "categories": [{"id": k} for k in range(classes)],
        "annotations": [{"id": i, **a} for i, a in enumerate(annotations, start=1)],
    }
    (folder / "truth.json").write_text(json.dumps(data))
    (folder / "results.json").write_text(json.dumps(results))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(folder / "truth.json"))
        judge = COCOeval(coco, coco.loadRes(str(folder / "results.json")), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge


def assert_same(found, judge):
    ours = [found.value, *(found.details[name] for name in SUMMARY[1:])]
    assert [-1.0 if math.isnan(v) else v for v in ours] == judge.stats.tolist()
    per_class = judge.eval["precision"][:, :, :, 0, 2].mean(axis=(0, 1))
    expected = {k: v for k, v in enumerate(per_class.tolist()) if v > -1}
    assert found.per_class == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("seed", range(6))
def test_every_number_is_pycocotools(seed, tmp_path):
    rng = np.random.default_rng(seed)
    images = [random_image(rng, n) for n in range(25)]
    found = measure("coco_ap", images, CLASSES, bootstrap=2)
    assert 0 < found.value < 1
    assert_same(found, on_files(images, tmp_path))


def test_at_most_100_detections_count(tmp_path):
    rng = np.random.default_rng(9)
    images = [random_image(rng, n, most=200, coarse=512, classes=1) for n in range(3)]
    assert max(len(image.detections(0.0)) for image in images) > 100
    assert_same(measure("coco_ap", images, 1, bootstrap=0), on_files(images, tmp_path, 1))


def test_our_greedy_match_is_cocos_where_the_rules_agree(tmp_path):
    """Without difficult boxes and crowds, which COCO treats in its own way."""
    rng = np.random.default_rng(4)
    images = [random_image(rng, n) for n in range(60)]
    images = [i for i in images if not i.prediction.truth.box_crowd.any()]
    judge = on_files(images, tmp_path)
    compared = 0
    for n, image in enumerate(images, start=1):
        found = image.detections(0.0)
        for k in np.unique(found.labels).tolist():
            (theirs,) = (
                e for e in judge.evalImgs
                if e and (e["image_id"], e["category_id"]) == (n, k) and e["aRng"] == [0, 1e10]
            )  # fmt: skip
            for t, iou in enumerate(judge.params.iouThrs):
                ours = match(found.boxes_xyxy[found.labels == k], image.prediction.truth, k, iou)
                assert (ours == TRUE_POSITIVE).tolist() == (theirs["dtMatches"][t] > 0).tolist()
                compared += len(ours)
    assert compared > 1000
