"""Oquab's search over six scales against the six forward passes that it cannot do without.

Shapes: B batch, K classes, H W size of an input.
"""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
from torch import Tensor

from workloads.benchmarks.extent import Extent
from workloads.benchmarks.interleaved import Rounds, interleaved, one_torch_thread
from workloads.methods.multiscale import rescale
from workloads.methods.oquab.oquab import Oquab
from workloads.methods.registry import build_method

BACKBONE, SIZE, CLASSES = "alexnet", 500, 20
REPEATS: dict[Extent, int] = {"quick": 1, "usual": 2, "full": 5}


def compare_oquab_scales(extent: Extent = "usual") -> dict[str, object]:
    """Scores and maps of one image from six scales: time, against the bare forward passes.

    Network, input and number of classes are the paper's for VOC, the weights random. A bare pass
    gets the image in its scale, and ends with the scores of its windows. What the search adds is
    resizing the image, the maxima, and one map for each class out of six.

    Returns:
        `ratio` single / six scales, near 1 if the search adds next to nothing, and
        both times, the first as a sum; `added` 1 / ratio - 1; `backbone`, `size` of the
        input, and `windows` that were looked at; `max_difference` between the scores.
    """
    torch.manual_seed(0)
    method = cast(Oquab, build_method("oquab", BACKBONE, CLASSES, "multilabel").eval())
    images = torch.randn(1, 3, SIZE, SIZE)
    inputs = [method.windows.fill(rescale(images, s)) for s in method.options.test_scales]
    ways = {"six_scales_ms": partial(localized, method, images)}
    ways |= {f"scale {n}": partial(window_scores, method, one) for n, one in enumerate(inputs)}
    with one_torch_thread(), torch.inference_mode():
        scores = localized(method, images)  # warms up, too
        singles = [window_scores(method, one) for one in inputs]
        rounds = interleaved(ways, REPEATS[extent]).seconds
    six_scales = rounds.pop("six_scales_ms")
    sums = [sum(one) for one in zip(*rounds.values(), strict=True)]
    times = Rounds({"six_scales_ms": six_scales, "single_scales_ms": sums})
    ratio = times.ratio("single_scales_ms", "six_scales_ms")
    expected = torch.stack([s.amax(dim=(2, 3)) for s in singles]).mean(dim=0).sigmoid()
    return {
        "name": "oquab-scales",
        "ratio": ratio,
        **times.ms(),
        "added": 1 / ratio - 1,
        "backbone": BACKBONE,
        "size": SIZE,
        "windows": sum(s.shape[2] * s.shape[3] for s in singles),
        "max_difference": float((scores - expected).abs().max()),
    }


def localized(method: Oquab, images: Tensor) -> Tensor:
    """(B, K) scores of the whole search, with the map of every class."""
    answer = method.localize(images)
    answer.maps_of([range(CLASSES)] * len(images))
    return answer.scores


def window_scores(method: Oquab, images: Tensor) -> Tensor:
    """(B, K, n, m) scores of all windows of images that have their scale."""
    scores: Tensor = method.classifier(
        method.adaptation(method.backbone.hidden(method.backbone(images)))
    )
    return scores
