"""Differences between the exact box protocol and the evaluation toolkit's, step by step.

# h w raw map size, H W map size, G ground-truth boxes, T thresholds
# R rungs of the ladder, D kinds of decision: V1 at IoU .5 and V2 at .3, .5, .7
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workloads.benchmarks.extent import Extent
from workloads.benchmarks.samples import FIELD, one_thread
from workloads.localization import contour_kernels
from workloads.localization.boxes import best_iou_per_box
from workloads.localization.component_tree import even_thresholds, largest_boxes, sweep
from workloads.localization.contour_protocol import (
    FRAME,
    contour_sweep,
    cuts_of,
    protocol_boxes,
    protocol_map,
    protocol_taus,
    quantized,
)
from workloads.localization.maps import normalize, upsample

SIZES = ((500, 375), (375, 500), (500, 333), (400, 300), (640, 480), (250, 250))
MAPS: dict[Extent, int] = {"quick": 50, "usual": 500, "full": 1000}
V1_DELTA, V2_DELTAS = 0.5, np.array([0.3, 0.5, 0.7])


class Case(NamedTuple):
    """A (h, w) raw map and (G, 4) int corners in pixels of a (height, width) image."""

    raw: NDArray[np.float32]
    width: int
    height: int
    boxes_xyxy: NDArray[np.int64]


class Scores(NamedTuple):
    """(T,) IoU of the largest box (V1) and best IoU of any box (V2)."""

    largest_iou: NDArray[np.float64]
    best_iou: NDArray[np.float64]


class Rung(NamedTuple):
    """One protocol and the step in which it differs from the one before."""

    step: str
    score: Callable[[Case], Scores]


class Counts(NamedTuple):
    """Sums over all cases.

    Attributes:
        hits: (R, D, T) cases with a box that is right.
        changed: (R, D) decisions of all thresholds that differ from the rung before; of the
            first rung those that differ between the first and the last.
        seconds: (R,) CPU time from the raw map on.
    """

    hits: NDArray[np.int64]
    changed: NDArray[np.int64]
    seconds: NDArray[np.float64]


def compare_protocols(extent: Extent = "usual") -> dict[str, object]:
    """MaxBoxAcc (V1) and MaxBoxAccV2 of the same maps, from the exact protocol to the toolkit's.

    The maps are synthetic: 14x14, most blobs about the one to three boxes of an image of some
    usual size, over noise of any strength. Each rung of the ladder takes one more step from
    `wsolevaluation` and keeps the ones before.

    Returns:
        `rungs`: `step`, both accuracies, `changed_decisions` (the share of decisions, whether at
        a threshold a box reaches an IoU, that differ from the rung before, for V1 at IoU .5 and
        for V2 at .3, .5, .7) and `ms` per map from the raw map on. The same from the first rung
        to the last: the differences of the accuracies, `changed_decisions`, and `ratio` of time.
    """
    maps = MAPS[extent]
    cases = make_cases(maps, seed=0)
    with one_thread():
        for rung in LADDER:
            rung.score(cases[0])  # compile
        counts = _count(cases)
    best = counts.hits.max(axis=2) / maps  # each at the threshold that is best for it
    v1, v2 = best[:, 0], best[:, 1:].mean(axis=1)
    shares = counts.changed / (maps * len(protocol_taus()))
    ms = 1000 * counts.seconds / maps
    return {
        "name": "protocols",
        "maps": maps,
        "ratio": float(ms[0] / ms[-1]),
        "max_box_acc_difference": float(v1[-1] - v1[0]),
        "max_box_acc_v2_difference": float(v2[-1] - v2[0]),
        "changed_decisions": _by_metric(shares[0]),
        "rungs": [
            {
                "step": rung.step,
                "max_box_acc": float(v1[r]),
                "max_box_acc_v2": float(v2[r]),
                "changed_decisions": _by_metric(shares[r] if r else np.zeros_like(shares[r])),
                "ms": float(ms[r]),
            }
            for r, rung in enumerate(LADDER)
        ],
    }


def exact(case: Case) -> Scores:
    """As the metrics of this library: everything in the image's frame and in float."""
    map01 = normalize(upsample(case.raw, case.width, case.height))
    return _tree_scores(map01, even_thresholds(), case.boxes_xyxy)


def squashed(case: Case) -> Scores:
    """Map and boxes in a square."""
    map01 = normalize(upsample(case.raw, FRAME, FRAME))
    return _tree_scores(map01, even_thresholds(), _scaled_boxes(case))


def bicubic(case: Case) -> Scores:
    """And the map resized bicubically."""
    return _tree_scores(protocol_map(case.raw), even_thresholds(), _scaled_boxes(case))


def truncated_map(case: Case) -> Scores:
    """And the map and its thresholds truncated to integers."""
    return _integer_scores(case, _scaled_boxes(case))


def truncated_boxes(case: Case) -> Scores:
    """And the ground truth truncated to integers."""
    return _integer_scores(case, _toolkit_boxes(case))


def inclusive(case: Case) -> Scores:
    """And boxes that end one pixel later, but not after the last, with sides x1 - x0 + 1."""
    levels, boxes = quantized(protocol_map(case.raw)), _toolkit_boxes(case)
    cuts = cuts_of(levels, protocol_taus())
    largest = largest_boxes(*_integers(levels))
    iou = best_iou_per_box(np.minimum(largest, FRAME - 1), boxes, "plus_one")
    return Scores(iou[cuts], contour_kernels.best_outer(levels, boxes)[cuts])


def contours(case: Case) -> Scores:
    """And the largest by polygon area, and contours of holes: `wsolevaluation`."""
    found = contour_sweep(quantized(protocol_map(case.raw)), _toolkit_boxes(case), protocol_taus())
    return Scores(found.largest_iou, found.best_iou)


LADDER = (
    Rung("exact", exact),
    Rung("frame: image to 224x224", squashed),
    Rung("bicubic instead of bilinear", bicubic),
    Rung("uint8 map, int(tau * max)", truncated_map),
    Rung("int ground truth", truncated_boxes),
    Rung("+1 sides, clipped corners", inclusive),
    Rung("polygon area (V1), hole contours (V2)", contours),
)


def make_cases(count: int, seed: int) -> list[Case]:
    """Images of some usual sizes with one to three boxes each, and maps that mostly see them."""
    rng = np.random.default_rng(seed)
    cases = []
    for _ in range(count):
        width, height = SIZES[rng.integers(len(SIZES))]
        boxes = _boxes(rng, width, height)
        cases.append(
            Case(_raw_map(rng, boxes / [width, height, width, height]), width, height, boxes)
        )
    return cases


def _boxes(rng: np.random.Generator, width: int, height: int) -> NDArray[np.int64]:
    size = np.array([width, height])
    sides = rng.uniform(0.15, 0.75, (rng.integers(1, 4), 2)) * size
    corners = rng.uniform(0, size - sides)
    return np.concatenate([corners, corners + sides], axis=1).astype(np.int64)


def _raw_map(rng: np.random.Generator, boxes01: NDArray[np.float64]) -> NDArray[np.float32]:
    """(FIELD, FIELD) blobs about (G, 4) boxes in [0, 1], at times one elsewhere, over noise."""
    centres = (boxes01[:, :2] + boxes01[:, 2:]) / 2
    sides = boxes01[:, 2:] - boxes01[:, :2]
    if rng.random() < 0.3:
        centres = np.concatenate([centres, rng.random((1, 2))])
        sides = np.concatenate([sides, rng.uniform(0.1, 0.3, (1, 2))])
    y, x = (np.mgrid[:FIELD, :FIELD] + 0.5) / FIELD
    field = rng.uniform(0.0, 0.6) * rng.random((FIELD, FIELD))
    for (cx, cy), (w, h) in zip(
        centres + 0.15 * sides * rng.normal(size=sides.shape), sides, strict=True
    ):
        sx, sy = rng.uniform(0.25, 0.5, 2) * (w, h)
        distance = ((x - cx) / sx) ** 2 + ((y - cy) / sy) ** 2
        field += rng.uniform(0.4, 1.0) * np.exp(-distance / 2)
    return field.astype(np.float32)


def _count(cases: list[Case]) -> Counts:
    shape = (len(LADDER), 1 + len(V2_DELTAS))
    hits = np.zeros((*shape, len(protocol_taus())), np.int64)
    changed, seconds = np.zeros(shape, np.int64), np.zeros(len(LADDER))
    for case in cases:
        right = np.zeros(hits.shape, np.bool_)
        for r, rung in enumerate(LADDER):
            start = time.thread_time()
            scores = rung.score(case)
            seconds[r] += time.thread_time() - start
            right[r] = _right(scores)
        hits += right
        changed += (right != np.roll(right, 1, axis=0)).sum(axis=2)
    return Counts(hits, changed, seconds)


def _right(scores: Scores) -> NDArray[np.bool_]:
    """(D, T) whether the box is right."""
    v2 = scores.best_iou[None, :] >= V2_DELTAS[:, None]
    return np.concatenate([scores.largest_iou[None, :] >= V1_DELTA, v2])


def _by_metric(shares: NDArray[np.float64]) -> dict[str, float]:
    return {"max_box_acc": float(shares[0]), "max_box_acc_v2": float(shares[1:].mean())}


def _tree_scores(
    map01: NDArray[np.floating], thresholds: NDArray[np.floating], boxes: NDArray[np.number]
) -> Scores:
    found = sweep(map01, thresholds, boxes.astype(np.float64))
    return Scores(best_iou_per_box(found.largest_xyxy, boxes), found.best_iou)


def _integer_scores(case: Case, boxes: NDArray[np.number]) -> Scores:
    levels = quantized(protocol_map(case.raw))
    cuts = cuts_of(levels, protocol_taus())
    found = _tree_scores(*_integers(levels), boxes)
    return Scores(found.largest_iou[cuts], found.best_iou[cuts])


def _integers(levels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The map and all its integer thresholds, both over 256: exact in float."""
    return levels.astype(np.float32) / np.float32(256), even_thresholds(256)


def _scaled_boxes(case: Case) -> NDArray[np.float64]:
    return case.boxes_xyxy * (FRAME / np.array([case.width, case.height] * 2))


def _toolkit_boxes(case: Case) -> NDArray[np.int64]:
    return protocol_boxes(case.boxes_xyxy, case.width, case.height)
