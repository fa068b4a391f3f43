"""Metrics, and what is done to a map before them, beside the toolkit's."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import cv2
import numpy as np
from fidelity_rows import Row
from fidelity_toolkit import Toolkit
from numpy.typing import NDArray

from workloads.images.masks import combine_masks, resize_mask
from workloads.localization.contour_protocol import (
    contour_sweep,
    protocol_boxes,
    protocol_map,
    quantized,
)
from workloads.metrics.max_box_acc import hits_per_delta
from workloads.metrics.pxap import pixel_ap, pixels_by_score, score_bins

DELTAS = (0.3, 0.5, 0.7)
SIZES = ((300, 200), (224, 224), (97, 411))  # width, height
STEP = 0.01  # of the cut-offs: the toolkit looks for contours anew at each of them


def rows(toolkit: Toolkit, work: Path) -> Iterator[Row]:
    """One row for each metric."""
    maps, cutoffs = len(raw_maps()), len(taus())
    boxes = f"decisions of {maps} maps, 3 IoU, {cutoffs} cut-offs"
    yield Row("map", f"resized and normalised, {maps} maps", maps_differ(toolkit), 1e-12)
    yield Row("MaxBoxAcc", boxes, boxes_differ(toolkit, work, multi=False), 0)
    yield Row("MaxBoxAccV2", boxes, boxes_differ(toolkit, work, multi=True), 0)
    yield Row("PxAP", f"pooled over {maps} masks", pxap_differs(toolkit, work), 1e-12)


def taus() -> NDArray[np.float64]:
    """(T,) cut-offs relative to the maximum."""
    return np.arange(0, 1, STEP)


def raw_maps() -> list[NDArray[np.float64]]:
    """Maps at random, smooth, constant, of few levels, nearly constant, and with holes."""
    rng = np.random.default_rng(0)
    maps = [rng.normal(size=(side, side)) for side in (7, 14, 28)]
    maps.append(rng.integers(0, 3, (14, 14)).astype(np.float64))
    rings = np.zeros((28, 28))
    rings[4:24, 4:24], rings[8:20, 8:20], rings[12:16, 12:16] = 1, 0, 0.5
    chess = np.indices((28, 28)).sum(axis=0) % 2.0
    nearly = np.full((14, 14), 0.1)
    nearly[3, 5] += 1e-12
    return [*maps, rings, chess, nearly, np.full((14, 14), 0.3)]


def theirs_map(toolkit: Toolkit, raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """The toolkit's order: bicubic to the square, then its own normalisation."""
    resized = cv2.resize(raw, (224, 224), interpolation=cv2.INTER_CUBIC)
    found: NDArray[np.float64] = toolkit.inference.normalize_scoremap(resized)
    return found


def maps_differ(toolkit: Toolkit) -> float:
    """Largest difference of a pixel."""
    return max(
        float(np.abs(theirs_map(toolkit, raw) - protocol_map(raw)).max()) for raw in raw_maps()
    )


def boxes_differ(toolkit: Toolkit, work: Path, *, multi: bool) -> float:
    """How many decisions (map, IoU threshold, cut-off) are not the same."""
    rng, unlike = np.random.default_rng(1), 0
    for number, raw in enumerate(raw_maps()):
        width, height = SIZES[number % len(SIZES)]
        low = rng.integers(0, (width // 2, height // 2), (2, 2))
        high = low + rng.integers(1, (width // 2, height // 2), (2, 2))
        boxes = np.concatenate([low, high], axis=1)
        (work / "image_ids.txt").write_text("a\n")
        (work / "image_sizes.txt").write_text(f"a,{width},{height}\n")
        lines = ("a," + ",".join(map(str, box)) + "\n" for box in boxes.tolist())
        (work / "localization.txt").write_text("".join(lines))
        judge = toolkit.evaluation.BoxEvaluator(
            metadata=toolkit.evaluation.configure_metadata(str(work)),
            dataset_name="CUB",
            split="test",
            cam_threshold_list=list(taus()),
            iou_threshold_list=[30, 50, 70],
            mask_root="",
            multi_contour_eval=multi,
        )
        judge.accumulate(theirs_map(toolkit, raw), "a")
        squashed = protocol_boxes(boxes, width, height)
        found = contour_sweep(quantized(protocol_map(raw)), squashed, taus())
        ours = hits_per_delta(found.best_iou if multi else found.largest_iou, DELTAS)
        theirs = np.stack([judge.num_correct[percent] for percent in (30, 50, 70)])
        unlike += int((ours != (theirs > 0)).sum())
    return float(unlike)


def pxap_differs(toolkit: Toolkit, work: Path) -> float:
    """Difference of the pooled average precision, as a fraction of 1."""
    rng, raws = np.random.default_rng(2), raw_maps()
    ids, lines, masks = [str(n) for n in range(len(raws))], [], []
    for number, name in enumerate(ids):
        width, height = SIZES[number % len(SIZES)]
        blobs = cv2.resize(rng.random((6, 6)), (width, height))
        foreground = np.where(blobs > 0.6, 255, 0).astype(np.uint8)
        ignore = np.where(blobs < 0.3, 255, 0).astype(np.uint8)
        cv2.imwrite(str(work / f"{name}.png"), foreground)
        cv2.imwrite(str(work / f"{name}_ignore.png"), ignore)
        lines.append(f"{name},{name}.png,{name}_ignore.png\n")
        masks.append(resize_mask(combine_masks([foreground], ignore), 224))
    (work / "localization.txt").write_text("".join(lines))
    judge = toolkit.evaluation.MaskEvaluator(
        metadata=toolkit.evaluation.configure_metadata(str(work)),
        dataset_name="OpenImages",
        split="test",
        cam_threshold_list=list(taus()),
        iou_threshold_list=[50],
        mask_root=str(work),
        multi_contour_eval=False,
    )
    count = len(taus())
    pixels = np.zeros((2, count + 2), np.int64)
    for name, raw, mask in zip(ids, raws, masks, strict=True):
        judge.accumulate(theirs_map(toolkit, raw), name)
        pixels += pixels_by_score(score_bins(protocol_map(raw), count), mask, count)
    with redirect_stdout(sys.stderr), np.errstate(invalid="ignore"):
        theirs = judge.compute() / 100
    return abs(float(pixel_ap(pixels[None])[0]) - theirs)
