"""Compare with a checkout of the toolkit `wsolevaluation` that the user has: `make fidelity`.

`WSOLEVALUATION` is the folder of the checkout; without it nothing is compared. The figures go
into docs/fidelity.md, and a difference above its tolerance fails.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from workloads.images.masks import combine_masks, resize_mask
from workloads.localization.contour_protocol import (
    contour_sweep,
    protocol_boxes,
    protocol_map,
    protocol_taus,
    quantized,
)
from workloads.metrics.max_box_acc import hits_per_delta
from workloads.metrics.pxap import _histograms, pixel_ap, score_bins

PAGE = Path(__file__).with_name("fidelity.md")
START, END = "<!-- measured -->\n", "<!-- end of measured -->"
DELTAS = (0.3, 0.5, 0.7)
SIZES = ((300, 200), (224, 224), (97, 411))  # width, height


class Comparison(NamedTuple):
    """One row: what is compared, and from which difference on it fails."""

    name: str
    what: str
    tolerance: float
    difference: Callable[[ModuleType, ModuleType, Path], float]


class Namespace(dict[str, Any]):
    """A dictionary with attributes, in place of the package `munch`."""

    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


def load(checkout: Path) -> tuple[ModuleType, ModuleType]:
    """The toolkit's modules of evaluation and inference, with what newer packages lack."""
    munch: Any = ModuleType("munch")
    munch.Munch = Namespace
    sys.modules.setdefault("munch", munch)
    for name, kind in (("float", float), ("int", int), ("bool", bool)):
        if name not in vars(np):
            setattr(np, name, kind)
    sys.path.insert(0, str(checkout))
    return importlib.import_module("evaluation"), importlib.import_module("inference")


def raw_maps() -> list[NDArray[np.float64]]:
    """Maps at random, smooth, constant, of few levels, nearly constant, and with holes."""
    rng = np.random.default_rng(0)
    maps = [rng.normal(size=(side, side)) for side in (7, 14, 28) for _ in range(2)]
    maps += [rng.integers(0, 3, (14, 14)).astype(np.float64) for _ in range(2)]
    rings = np.zeros((28, 28))
    rings[4:24, 4:24], rings[8:20, 8:20], rings[12:16, 12:16] = 1, 0, 0.5
    chess = np.indices((28, 28)).sum(axis=0) % 2.0
    nearly = np.full((14, 14), 0.1)
    nearly[3, 5] += 1e-12
    return [*maps, rings, chess, nearly, np.zeros((14, 14)), np.full((14, 14), 0.3)]


def theirs_map(inference: ModuleType, raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """The toolkit's order: bicubic to the square, then its own normalisation."""
    resized = cv2.resize(raw, (224, 224), interpolation=cv2.INTER_CUBIC)
    return inference.normalize_scoremap(resized)


def maps_differ(evaluation: ModuleType, inference: ModuleType, work: Path) -> float:
    """Largest difference of a pixel."""
    return max(
        float(np.abs(theirs_map(inference, raw.copy()) - protocol_map(raw)).max())
        for raw in raw_maps()
    )


def boxes_differ(multi: bool) -> Callable[[ModuleType, ModuleType, Path], float]:
    """Decisions (map, IoU threshold, cut-off) that are not the same."""

    def difference(evaluation: ModuleType, inference: ModuleType, work: Path) -> float:
        rng, taus, unlike = np.random.default_rng(1), protocol_taus(), 0
        for number, raw in enumerate(raw_maps()):
            width, height = SIZES[number % len(SIZES)]
            low = rng.integers(0, (width // 2, height // 2), (2, 2))
            high = low + rng.integers(1, (width // 2, height // 2), (2, 2))
            boxes = np.concatenate([low, high], axis=1)
            (work / "image_ids.txt").write_text("a\n")
            (work / "image_sizes.txt").write_text(f"a,{width},{height}\n")
            rows = ("a," + ",".join(map(str, box)) + "\n" for box in boxes.tolist())
            (work / "localization.txt").write_text("".join(rows))
            judge = evaluation.BoxEvaluator(
                metadata=evaluation.configure_metadata(str(work)),
                dataset_name="CUB",
                split="test",
                cam_threshold_list=list(taus),
                iou_threshold_list=[30, 50, 70],
                mask_root="",
                multi_contour_eval=multi,
            )
            judge.accumulate(theirs_map(inference, raw.copy()), "a")
            squashed = protocol_boxes(boxes, width, height)
            found = contour_sweep(quantized(protocol_map(raw)), squashed, taus)
            ours = hits_per_delta(found.best_iou if multi else found.largest_iou, DELTAS)
            theirs = np.stack([judge.num_correct[percent] for percent in (30, 50, 70)])
            unlike += int((ours != (theirs > 0)).sum())
        return float(unlike)

    return difference


def pxap_differs(evaluation: ModuleType, inference: ModuleType, work: Path) -> float:
    """Difference of the pooled average precision, as a fraction of 1."""
    rng, taus, raws = np.random.default_rng(2), protocol_taus(), raw_maps()
    ids, rows, masks = [str(n) for n in range(len(raws))], [], []
    for number, name in enumerate(ids):
        width, height = SIZES[number % len(SIZES)]
        blobs = cv2.resize(rng.random((6, 6)), (width, height))
        foreground = np.where(blobs > 0.6, 255, 0).astype(np.uint8)
        ignore = np.where(blobs < 0.3, 255, 0).astype(np.uint8)
        cv2.imwrite(str(work / f"{name}.png"), foreground)
        cv2.imwrite(str(work / f"{name}_ignore.png"), ignore)
        rows.append(f"{name},{name}.png,{name}_ignore.png\n")
        masks.append(resize_mask(combine_masks([foreground], ignore), 224))
    (work / "localization.txt").write_text("".join(rows))
    judge = evaluation.MaskEvaluator(
        metadata=evaluation.configure_metadata(str(work)),
        dataset_name="OpenImages",
        split="test",
        cam_threshold_list=list(taus),
        iou_threshold_list=[50],
        mask_root=str(work),
        multi_contour_eval=False,
    )
    pixels = np.zeros((2, len(taus) + 2), np.int64)
    for name, raw, mask in zip(ids, raws, masks, strict=True):
        judge.accumulate(theirs_map(inference, raw.copy()), name)
        pixels += _histograms(score_bins(protocol_map(raw), len(taus)), mask, len(taus))
    with redirect_stdout(sys.stderr), np.errstate(invalid="ignore"):
        theirs = judge.compute() / 100
    return abs(float(pixel_ap(pixels[None])[0]) - theirs)


COMPARISONS = (
    Comparison("map", "bicubic resize and min-max, each pixel of 13 maps", 1e-12, maps_differ),
    Comparison(
        "max_box_acc", "decisions of 13 maps, 3 IoU, 1,000 cut-offs", 0, boxes_differ(False)
    ),
    Comparison("max_box_acc_v2", "the same, boxes of all contours", 0, boxes_differ(True)),
    Comparison("pxap", "pooled over 13 maps and masks, 1,000 cut-offs", 1e-12, pxap_differs),
)


def table(found: list[tuple[Comparison, float]]) -> str:
    """The measured table."""
    rows = [f"| {c.name} | {c.what} | {value:.1e} | {c.tolerance:g} |" for c, value in found]
    head = (
        "| metric or step | compared | largest difference | tolerance |\n| --- | --- | --- | --- |"
    )
    return "\n".join([head, *rows]) + "\n"


def main() -> int:
    """Compare and write the page; 1 if a difference is above its tolerance."""
    given = os.environ.get("WSOLEVALUATION")
    if not given:
        sys.stdout.write("fidelity: skipped, WSOLEVALUATION names no checkout of wsolevaluation\n")
        return 0
    if not (Path(given) / "evaluation.py").is_file():
        sys.stderr.write(f"WSOLEVALUATION={given}: no evaluation.py; give the checkout's folder\n")
        return 2
    modules = load(Path(given).resolve())
    found = []
    for comparison in COMPARISONS:
        with tempfile.TemporaryDirectory() as work:
            found.append((comparison, comparison.difference(*modules, Path(work))))
    measured = table(found)
    sys.stdout.write(measured)
    before, _, rest = PAGE.read_text().partition(START)
    PAGE.write_text(before + START + measured + END + rest.partition(END)[2])
    return int(any(not value <= comparison.tolerance for comparison, value in found))


if __name__ == "__main__":
    sys.exit(main())
