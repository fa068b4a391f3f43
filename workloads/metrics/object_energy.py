"""Object energy: how much of a class-free proposal lies on objects (SPN).

# N images, K classes, R layers: the data and its bootstrap replicates
"""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workloads.localization.maps import upsample
from workloads.localization.regions import coverage
from workloads.metrics.base import Columns, Metric, MetricResult
from workloads.metrics.centre import centre_map
from workloads.metrics.evaluated import Evaluated
from workloads.metrics.options import MetricOptions
from workloads.metrics.pairs import left_out
from workloads.predictions.store import Prediction


class _Row(NamedTuple):
    image_id: str
    labels: tuple[int, ...]
    energy: float
    centre: float


class ObjectEnergy(Metric):
    """Mean over images of the proposal's share inside ground-truth boxes (SPN, section 4.1).

    The proposal map is upsampled to the image, clipped at 0 and normalised to sum 1; the energy
    is its sum over the pixels whose centre lies in any box: of all classes, difficult ones
    too, but not crowds. A map without anything above 0 has no energy anywhere.

    Of methods without a proposal map the boxes of the object proposal algorithm are judged, where
    they are stored (box rule "regions"): a pixel's energy is the number of boxes that cover it.
    The paper sums the boxes' scores; those of selective search are ranks, so here each box is
    worth the same.

    Images without such a ground-truth box, blacklisted images, and predictions without any
    proposal are skipped. `per_class` is the mean over the images that show the class: the
    proposal does not know classes. The centre baseline is a pyramid over the middle.
    """

    name = "object_energy"
    title = "Object energy"
    uses = ("blacklisted",)
    columns: ClassVar[dict[str, type]] = {"energy": float}

    def __init__(self, num_classes: int, options: MetricOptions | None = None) -> None:
        super().__init__(num_classes, options)
        self._rows: list[_Row] = []
        self._skipped = 0

    def update(self, image: Evaluated) -> Columns:
        """Keep the energy of one image; it stands beside each class that has a box."""
        p, truth = image.prediction, image.prediction.truth
        singles = ~truth.box_crowd
        proposal = proposal_in_image(p, image.cutoffs.align_corners)
        skipped = left_out(truth, self.options.blacklisted)
        if proposal is None or skipped or not singles.any():
            self._skipped += 1
            return {}
        inside = pixels_inside(truth.boxes_xyxy[singles], p.width, p.height)
        labels = tuple(np.unique(truth.box_labels[singles]).tolist())
        energy = energy_inside(proposal, inside)
        centre = energy_inside(centre_map(p.width, p.height), inside)
        self._rows.append(_Row(p.image_id, labels, energy, centre))
        return {label: {"energy": energy} for label in labels}

    def result(self) -> MetricResult:
        """Mean over images."""
        rows = sorted(self._rows)
        weights = self.weights_of([row.image_id for row in rows])
        energies = np.array([row.energy for row in rows])
        layers = np.array([_mean(column, energies) for column in weights.T])
        classes = sorted({label for row in rows for label in row.labels})
        of_class = {k: np.array([k in row.labels for row in rows]) for k in classes}
        return MetricResult(
            value=float(layers[0]),
            interval=self.interval(layers),
            layers=layers,
            per_class={k: _mean(shows, energies) for k, shows in of_class.items()},
            centre=_mean(weights[:, 0], np.array([row.centre for row in rows])),
            counted=len(rows),
            skipped=self._skipped,
        )


def proposal_in_image(p: Prediction, align_corners: bool = False) -> NDArray[np.floating] | None:
    """(height, width) what is proposed in an image, by the map or by boxes; None without."""
    if p.proposal is not None:
        return upsample(p.proposal, p.width, p.height, align_corners=align_corners)
    if p.regions_xyxy is not None:
        return coverage(p.regions_xyxy, p.width, p.height)
    return None


def pixels_inside(boxes_xyxy: NDArray[np.floating], width: int, height: int) -> NDArray[np.bool_]:
    """(height, width) whether the centre of a pixel lies in any of the (G, 4) half-open boxes."""
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    inside = np.zeros((height, width), np.bool_)
    for x0, y0, x1, y1 in boxes_xyxy.astype(np.float64):
        inside |= ((y0 <= y) & (y < y1))[:, None] & ((x0 <= x) & (x < x1))[None, :]
    return inside


def energy_inside(proposal: NDArray[np.floating], inside: NDArray[np.bool_]) -> float:
    """Share of an (H, W) map, clipped at 0, on the pixels that are `inside`."""
    energy = np.clip(proposal.astype(np.float64), 0.0, None)
    within, outside = float(energy[inside].sum()), float(energy[~inside].sum())
    return within / (within + outside) if within > 0 else 0.0


def _mean(weights: NDArray[np.number], energies: NDArray[np.float64]) -> float:
    """Weighted mean, summed exactly, so that it depends on no order; NaN without any weight."""
    count = int(weights.sum())
    return math.fsum(weights * energies) / count if count else float("nan")
