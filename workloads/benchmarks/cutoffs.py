"""All cut-offs of a map in one pass against a loop with OpenCV."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from workloads.benchmarks.extent import Extent
from workloads.benchmarks.interleaved import interleaved
from workloads.benchmarks.samples import (
    BLOB_FIELDS,
    RANDOM_FIELDS,
    REPEATS,
    Sample,
    make_samples,
    one_thread,
)
from workloads.localization.boxes import iou_matrix
from workloads.localization.component_tree import best_iou, even_thresholds

Scorer = Callable[[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]], NDArray]


def compare_cutoffs(extent: Extent = "usual") -> dict[str, object]:
    """Best IoU of any component at 1,000 cut-offs: one-pass tree against an OpenCV loop.

    Both run on one thread over the same 12 maps of 224x224, upsampled from 14x14: six random
    fields (many components) and six of one to three blobs over faint noise (like a CAM), with
    one to three boxes each. They take turns, each over all maps, in CPU time of the thread,
    so that other work on the machine disturbs the ratio least.

    Returns:
        `ratio` loop / tree; `tree_ms` and `loop_ms` per map; `maps`; `max_difference` of the
        tree's IoU to labelling the components at every cut-off.
    """
    samples = make_samples(0, RANDOM_FIELDS, BLOB_FIELDS)
    thresholds = even_thresholds()
    with one_thread():
        best_iou(samples[0].map01, thresholds, samples[0].boxes_xyxy)  # compile
        rounds = interleaved(
            {
                "tree": lambda: _score(best_iou, samples, thresholds),
                "loop": lambda: _score(loop_best_iou, samples, thresholds),
            },
            REPEATS[extent],
        )
        difference = max(_difference(sample, thresholds) for sample in samples)
    return {
        "name": "cutoffs",
        "ratio": rounds.ratio("loop", "tree"),
        **{f"{way}_ms": ms / len(samples) for way, ms in rounds.ms().items()},
        "maps": len(samples),
        "max_difference": difference,
    }


def loop_best_iou(
    map01: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    gt_boxes_xyxy: NDArray[np.float32],
) -> NDArray[np.float64]:
    """(K,) best IoU of any outer contour's box, one threshold after the other.

    The fastest form found: NumPy's comparison as the mask, outer contours only (the published
    protocol asks for the whole tree of contours, which is slower), IoU of all boxes at once.
    """
    best = np.zeros(len(thresholds))
    for k, threshold in enumerate(thresholds):
        mask = (map01 > threshold).view(np.uint8)
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        if contours:
            rectangles = np.array([cv2.boundingRect(contour) for contour in contours])
            best[k] = _best_iou_of(rectangles, gt_boxes_xyxy)
    return best


def labelled_best_iou(
    map01: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    gt_boxes_xyxy: NDArray[np.float32],
) -> NDArray[np.float64]:
    """(K,) best IoU by labelling the components at every threshold: the truth to compare with."""
    best = np.zeros(len(thresholds))
    for k, threshold in enumerate(thresholds):
        mask = (map01 > threshold).view(np.uint8)
        stats = cv2.connectedComponentsWithStats(mask, connectivity=8)[2]
        best[k] = _best_iou_of(stats[1:, :4], gt_boxes_xyxy)
    return best


def _score(scorer: Scorer, samples: list[Sample], thresholds: NDArray[np.float32]) -> None:
    for sample in samples:
        scorer(sample.map01, thresholds, sample.boxes_xyxy)


def _difference(sample: Sample, thresholds: NDArray[np.float32]) -> float:
    found = best_iou(sample.map01, thresholds, sample.boxes_xyxy)
    expected = labelled_best_iou(sample.map01, thresholds, sample.boxes_xyxy)
    return float(np.abs(found - expected).max())


def _best_iou_of(rectangles: NDArray[np.int32], gt_boxes_xyxy: NDArray[np.float32]) -> float:
    """Best IoU of (N, 4) rectangles x, y, width, height."""
    boxes = np.concatenate([rectangles[:, :2], rectangles[:, :2] + rectangles[:, 2:]], axis=1)
    return float(iou_matrix(boxes, gt_boxes_xyxy).max(initial=0.0))
