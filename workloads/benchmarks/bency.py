"""Beam search over regions: all candidates of a level at once, against one pass for each.

Shapes: K classes, C channels, h w size of a feature map, L side of the map that the classifier
takes, H W size of a heat map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, lru_cache, partial
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from workloads.benchmarks.extent import Extent
from workloads.benchmarks.interleaved import Rounds, interleaved, one_torch_thread
from workloads.localization.boxes import boxes_at
from workloads.localization.maps import normalize, upsample
from workloads.methods.bency.beam_search import Level, Tracks
from workloads.methods.bency.bency import Bency
from workloads.methods.bency.region_heat import region_heat, with_central_peak
from workloads.methods.bency.sub_grids import axis_weights, crops
from workloads.methods.registry import build_method

SIZE = 64
# The plain search takes as long for each class: VOC's 20 are minutes.
CLASSES: dict[Extent, int] = {"quick": 2, "usual": 2, "full": 20}
REPEATS: dict[Extent, int] = {"quick": 1, "usual": 2, "full": 3}
CUTOFF = 0.5

Box = tuple[float, float, float, float]
Kept = dict[Box, float]
"""Regions in positions of the map of the whole image, and what they are ranked by."""


class Found(NamedTuple):
    """One image: (K, H, W) float32 maps, and for each class what each level kept."""

    maps: NDArray[np.float32]
    levels: list[list[Kept]]


def compare_bency(extent: Extent = "usual") -> dict[str, object]:
    """Beam search for the classes of an image: batched against a pass for every candidate.

    The network is `bency` on `tiny` with random weights, M 8, H 10; a smooth random image of
    64x64, all classes wanted. Both searches run on one thread. The plain one goes class by class
    and candidate by candidate, each candidate once for one class. Every candidate is a forward
    pass: with reused features one through the fully connected layers, with recomputed ones from
    the crop of its parent to the scores. A plain search that is not quite as plain keeps the map
    of a parent's crop for its four children. Times are from image to maps. The full extent has
    20 classes; the more classes, the more the batched search gains.

    Libraries round differently for each batch size, by about 1e-6 of a score; where candidates
    are closer than that, the two searches may keep different ones. So both are compared in
    float64, where that is not to be expected, and in float32 beside it.

    Returns:
        `ratio` plain_ms / batched_ms with reused features, the same with `_recompute` for
        recomputed ones, and `ratio_recompute_kept_parents` for the search that keeps the maps of
        parents; of float64 and, with `_float32`, of that: `identical_regions`, the share of
        classes for which both keep the same regions at every level, `identical_boxes`, the same
        of the boxes at cut-off 0.5, and `max_difference` of the maps, as a share of a map's
        maximum. Each is the worse one of reused and recomputed features.
    """
    classes = CLASSES[extent]
    report: dict[str, object] = {"name": "bency", "classes": classes}
    exact, rounded = [], []
    with one_torch_thread(), torch.inference_mode():
        for features, suffix in (("reuse", ""), ("recompute", "_recompute")):
            method, image = network(classes, features=features), smooth_image()
            times = _times(method, image, REPEATS[extent])
            report[f"ratio{suffix}"] = times.ratio("plain", "batched")
            if "kept_parents" in times.seconds:
                kept_parents = times.ratio("kept_parents", "batched")
                report[f"ratio{suffix}_kept_parents"] = kept_parents
            report |= {f"{way}{suffix}_ms": ms for way, ms in times.ms().items()}
            rounded.append(compared(method, image))
            exact.append(compared(method.double(), image.double()))
    return report | _worst(exact, "") | _worst(rounded, "_float32")


def _times(method: Bency, image: Tensor, repeats: int) -> Rounds:
    ways: dict[str, Callable[[], object]] = {
        "plain": lambda: plain_search(method, image),
        "batched": lambda: batched_search(method, image),
    }
    if method.options.features == "recompute":
        ways["kept_parents"] = lambda: plain_search(method, image, keep_parents=True)
    return interleaved(ways, repeats)


def network(classes: int, **options: object) -> Bency:
    """With random weights that are the same each time."""
    torch.manual_seed(0)
    method = build_method("bency", "tiny", classes, "multilabel", "tiny", options)
    assert isinstance(method, Bency)
    return method.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def smooth_image() -> Tensor:
    """(1, 3, 64, 64), random, but different from region to region rather than pixel to pixel."""
    coarse = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return F.interpolate(coarse, size=(SIZE, SIZE), mode="bilinear", align_corners=False)


def batched_search(method: Bency, image: Tensor) -> NDArray[np.float32]:
    """(K, H, W) maps of all classes of a (1, 3, S, S) image, as a localizer asks for them."""
    ((maps,),) = method.localize(image).maps_of([range(method.num_classes)])
    return maps.numpy()


def plain_search(method: Bency, image: Tensor, *, keep_parents: bool = False) -> Found:
    """The same, one candidate after the other.

    Args:
        method: the network and the options of the search.
        image: (1, 3, S, S).
        keep_parents: with recomputed features, pass a parent's crop through the backbone once
            for its four children rather than once for each.
    """
    features: Tensor = method.backbone(image)

    def map_of(box: Box) -> Tensor:
        return _map_of_crop(method, image, box, features.shape)

    own = lru_cache(maxsize=1)(map_of) if keep_parents else map_of
    levels = [_plain_levels(method, features, own, k) for k in range(method.num_classes)]
    height, width = features.shape[2:]
    maps = [_plain_map(of_class, height, width, method) for of_class in levels]
    return Found(np.stack(maps).astype(np.float32), levels)


def _plain_levels(
    method: Bency, features: Tensor, own: Callable[[Box], Tensor], label: int
) -> list[Kept]:
    height, width = features.shape[2:]
    whole = (0.0, 0.0, float(width), float(height))
    levels = [{whole: _score(method, features, whole, label)}]
    for _ in range(method.options.levels):
        found: Kept = {}
        for box in levels[-1]:
            if method.options.features == "reuse":
                for child in _children(box, 1, 1):
                    if child not in found:
                        found[child] = _score(method, features, child, label)
                continue
            steps = (box[2] - box[0]) / width, (box[3] - box[1]) / height
            for child, part in zip(_children(box, *steps), _children(whole, 1, 1), strict=True):
                score = _score(method, own(box), part, label)
                found[child] = max(score, found.get(child, -np.inf))
        if not found:
            break
        best = sorted(found, key=lambda box: (-found[box], box))[: method.options.beam_width]
        levels.append({box: found[box] for box in best})
    return levels


def _children(box: Box, across: float, down: float) -> Iterator[Box]:
    x0, y0, x1, y1 = box
    if x1 - across > x0:
        yield x0, y0, x1 - across, y1
        yield x0 + across, y0, x1, y1
    if y1 - down > y0:
        yield x0, y0, x1, y1 - down
        yield x0, y0 + down, x1, y1


def _map_of_crop(method: Bency, image: Tensor, box: Box, whole: torch.Size) -> Tensor:
    """The map of a part of the image; `whole` is the shape of the map of all of it."""
    height, width = whole[2:]
    if box != (0, 0, width, height):
        shares = np.array([box]) / (width, height, width, height)
        image = crops(image, torch.tensor([0]), shares)
    features: Tensor = method.backbone(image)
    return features


def _score(method: Bency, features: Tensor, part: Box, label: int) -> float:
    """The log of the softmax of one class for one sub-grid of a (1, C, h, w) map."""
    x0, y0, x1, y1 = part
    height, width = features.shape[2:]
    side = method.backbone.grid
    down, across = _weights(y0, y1, height, side), _weights(x0, x1, width, side)
    resized = down.to(features) @ features @ across.to(features).mT
    hidden = method.backbone.hidden(resized).flatten(1)
    logits = method.classifier(method.adaptation(hidden)).double()
    return float(logits.log_softmax(dim=1)[0, label].float())


@cache
def _weights(start: float, stop: float, size: int, side: int) -> Tensor:
    return torch.from_numpy(axis_weights(np.array([start]), np.array([stop]), size, side)[0])


def _plain_map(levels: list[Kept], height: int, width: int, method: Bency) -> NDArray[np.float64]:
    regions = [pair for level in levels for pair in level.items()]
    boxes, ranks = zip(*regions, strict=True)
    scores = torch.tensor(ranks, dtype=torch.float64).exp().numpy()
    heat = region_heat(np.array(boxes), scores, height, width, method.options.cells)
    return with_central_peak(heat / method.most_heat)


class Compared(NamedTuple):
    """Shares of classes in [0, 1], and the largest difference of a map as share of its maximum."""

    identical_regions: float
    identical_boxes: float
    max_difference: float


def compared(method: Bency, image: Tensor) -> Compared:
    """Agreement of both searches on one image."""
    # The map of a parent's crop is the same for each of its children, so it is kept.
    plain = plain_search(method, image, keep_parents=True)
    maps = batched_search(method, image)
    kept = zip(plain.levels, batched_levels(method, image), strict=True)
    pairs = list(zip(plain.maps, maps, strict=True))
    return Compared(
        float(np.mean([_regions(a) == _regions(b) for a, b in kept])),
        float(np.mean([np.array_equal(_boxes(a), _boxes(b)) for a, b in pairs])),
        max(float(np.abs(a - b).max() / a.max()) for a, b in pairs),
    )


def _worst(several: list[Compared], suffix: str) -> dict[str, object]:
    regions, boxes, differences = zip(*several, strict=True)
    return {
        f"identical_regions{suffix}": min(regions),
        f"identical_boxes{suffix}": min(boxes),
        f"max_difference{suffix}": max(differences),
    }


def batched_levels(method: Bency, image: Tensor) -> list[list[Kept]]:
    """Regions that the batched search keeps, as `Found.levels`."""
    features = method.backbone(image)
    classes = range(method.num_classes)
    logits = method(image)["logits"]
    tracks = Tracks.of([0] * len(classes), classes)
    levels = method.regions(partial(crops, image), features, logits, tracks)
    return [[_kept(level, k) for level in levels] for k in classes]


def _kept(level: Level, track: int) -> Kept:
    pairs = zip(level.boxes[track].tolist(), level.scores[track].tolist(), strict=True)
    return {(x0, y0, x1, y1): score for (x0, y0, x1, y1), score in pairs if score > -np.inf}


def _regions(levels: list[Kept]) -> list[set[Box]]:
    return [set(kept) for kept in levels]


def _boxes(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    return boxes_at(normalize(upsample(raw, SIZE, SIZE)), CUTOFF).boxes_xyxy
