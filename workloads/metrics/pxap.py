"""PxAP: average precision of pixels, the metric for data sets with masks.

# R layers (data and bootstrap replicates), K classes, T cut-offs, B = T + 2 bins of scores
"""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from workloads.images.masks import BACKGROUND, FOREGROUND, decode_mask, resize_mask
from workloads.localization.contour_protocol import protocol_map
from workloads.metrics.base import Columns, Metric, MetricResult
from workloads.metrics.bootstrap import per_class
from workloads.metrics.centre import centre_map
from workloads.metrics.evaluated import Evaluated
from workloads.metrics.options import MetricOptions
from workloads.metrics.pairs import left_out


class PxAP(Metric):
    """Average precision of the map's pixels against the mask, pooled over the data set.

    As in wsolevaluation (Choe et al. 2020): the map of the image's class is
    resized bicubically to a square, then normalised; the mask follows with the nearest pixel;
    pixels to be ignored are left out. Scores fall into bins between the cut-offs, and AP is the
    sum of precision times the gain in recall from the highest bin down, not interpolated. The
    toolkit multiplies by 100.

    Images without a mask, with no class or several, or blacklisted are skipped; `counted` is
    images. The centre baseline goes through the same steps.
    """

    name = "pxap"
    title = "PxAP"
    uses = ("frame", "thresholds", "blacklisted")
    columns: ClassVar[dict[str, type]] = {"ap": float}

    def __init__(self, num_classes: int, options: MetricOptions | None = None) -> None:
        super().__init__(num_classes, options)
        bins = self.options.thresholds + 2
        # Background and foreground pixels by score.
        self._pixels = self.zeros(2, bins)
        self._class_pixels = np.zeros((num_classes, 2, bins), np.int64)
        self._centre = np.zeros((2, bins), np.int64)
        self._images = 0
        self._skipped = 0

    def update(self, image: Evaluated) -> Columns:
        """Count the pixels of one image; its own average precision."""
        p, frame, count = image.prediction, self.options.frame, self.options.thresholds
        skipped = left_out(p.truth, self.options.blacklisted)
        if p.truth.mask is None or len(p.truth.labels) != 1 or skipped:
            self._skipped += 1
            return {}
        (label,) = p.truth.labels
        mask = resize_mask(decode_mask(p.truth.mask), frame)
        pixels = pixels_by_score(
            score_bins(protocol_map(p.map_of(label), frame), count), mask, count
        )
        used = np.flatnonzero(pixels.any(axis=0))
        self._pixels[:, :, used] += self.weights(image)[:, None, None] * pixels[:, used]
        self._class_pixels[label] += pixels
        self._centre += pixels_by_score(_centre_bins(frame, count), mask, count)
        self._images += 1
        return {label: {"ap": float(pixel_ap(pixels[None])[0])}}

    def result(self) -> MetricResult:
        """AP of all pixels of the data set."""
        layers = pixel_ap(self._pixels)
        return MetricResult(
            value=float(layers[0]),
            interval=self.interval(layers),
            layers=layers,
            per_class=per_class(pixel_ap(self._class_pixels)),
            centre=float(pixel_ap(self._centre[None])[0]),
            counted=self._images,
            skipped=self._skipped,
            details={
                "background_pixels": int(self._pixels[0, BACKGROUND].sum()),
                "foreground_pixels": int(self._pixels[0, FOREGROUND].sum()),
            },
        )


def pixel_ap(pixels: NDArray[np.int64]) -> NDArray[np.float64]:
    """(N,) average precision of (N, 2, B) histograms of scores; NaN without foreground."""
    descending = pixels[:, :, ::-1].cumsum(axis=2)
    false, true = descending[:, BACKGROUND], descending[:, FOREGROUND]
    seen, total = true + false, true[:, -1:]
    precision = np.divide(true, seen, out=np.zeros(seen.shape), where=seen > 0)
    recall = np.divide(true, total, out=np.full(seen.shape, np.nan), where=total > 0)
    area: NDArray[np.float64] = (precision[:, 1:] * np.diff(recall, axis=1)).sum(axis=1)
    return area


def score_bins(map01: NDArray[np.floating], count: int) -> NDArray[np.int64]:
    """(H, W) bin of each score: its cut-off k / T, or T for a score of 1.

    The toolkit's edges are 0, 1 / T .. and 1, 2, 3, so its last bin is always empty.
    """
    edges = np.append(np.arange(count) * (1 / count), 1.0)
    bins: NDArray[np.int64] = np.searchsorted(edges, map01.ravel(), side="right") - 1
    return bins.reshape(map01.shape)


def pixels_by_score(
    bins: NDArray[np.int64], mask: NDArray[np.uint8], count: int
) -> NDArray[np.int64]:
    """(2, B) background and foreground pixels in each bin; ignored pixels in neither."""
    kinds = [bins[mask == kind] for kind in (BACKGROUND, FOREGROUND)]
    return np.array([np.bincount(found, minlength=count + 2) for found in kinds])


@lru_cache(maxsize=8)
def _centre_bins(frame: int, count: int) -> NDArray[np.int64]:
    return score_bins(protocol_map(centre_map(frame, frame), frame), count)
