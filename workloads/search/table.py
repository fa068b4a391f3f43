"""True and false boxes of every stored map at every cut-off, counted in one pass.

For every map and each of T cut-offs the table keeps how many of the class's boxes would be true and
how many false. The boxes of a class pass a score threshold together, so that is all of them.

# N images, K classes, P stored maps (image-class pairs), T cut-offs
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workloads.localization.boxes import best_iou_per_box
from workloads.localization.boxes_per_cutoff import BoxesPerCutoff, boxes_per_cutoff
from workloads.localization.class_boxes import (
    CutMap,
    cuts_in_image,
    maps_to_cut,
    unit_of,
)
from workloads.localization.component_tree import even_thresholds, sweep
from workloads.localization.cutoffs import Cutoffs
from workloads.localization.maps import normalize, upsample
from workloads.metrics.matching import count_matches
from workloads.metrics.max_box_acc import DELTAS, hits_per_delta
from workloads.metrics.options import MetricOptions
from workloads.metrics.pairs import given_pairs, left_out
from workloads.predictions.store import Prediction


@dataclass(frozen=True, slots=True)
class SearchTable:
    """Counts of true and false boxes of stored predictions at every cut-off.

    Attributes:
        scores: (N, K) float32 as the network gave them.
        positive, difficult: (N, K) bool; classes with an object that is not difficult, and
            classes with difficult objects only.
        pair_image, pair_label: (P,) row and class of each stored map.
        true, false: (P, T) unsigned; detections of the pair at each cut-off. Those that are
            ignored are neither.
        truths: (K,) int64 ground-truth boxes to be found, by class.
        pairs: (K,) int64 pairs that count for GT-known localization.
        gt_known_hits: (K, T) int64; those of them whose one box is right.
        box_acc_hits: (3, T) int64; given pairs with a component that reaches IoU .3, .5, .7.
        cooccurrence: (K, K) p(i | j).
    """

    scores: NDArray[np.float32]
    positive: NDArray[np.bool_]
    difficult: NDArray[np.bool_]
    pair_image: NDArray[np.int64]
    pair_label: NDArray[np.int64]
    true: NDArray[np.unsignedinteger]
    false: NDArray[np.unsignedinteger]
    truths: NDArray[np.int64]
    pairs: NDArray[np.int64]
    gt_known_hits: NDArray[np.int64]
    box_acc_hits: NDArray[np.int64]
    cooccurrence: NDArray[np.float64]

    @classmethod
    def build(
        cls,
        predictions: Iterable[Prediction],
        cooccurrence: NDArray[np.float64],
        options: MetricOptions | None = None,
        cutoffs: Cutoffs | None = None,
    ) -> SearchTable:
        """Walk over all stored maps once; about the time of one evaluation.

        Args:
            cooccurrence: (K, K) p(i | j) over the training labels, from the model card.
            options: IoU and number of cut-offs.
            cutoffs: the model's, for what is not searched: how a map becomes boxes.

        Raises:
            ValueError: there are no predictions, or none has a map.
            NotFound: the box rule needs regions and none are stored.
        """
        builder = _Builder(options or MetricOptions(), cutoffs or Cutoffs())
        for prediction in predictions:
            builder.add(prediction)
        return builder.table(cooccurrence)

    @property
    def thresholds(self) -> int:
        """T."""
        return int(self.true.shape[1])

    @property
    def has_boxes(self) -> bool:
        """Whether any box can judge a cut-off."""
        return bool(self.truths.any() or self.pairs.any())

    def grid(self, cutoff: float) -> int:
        """The k for which k / T is nearest to a cut-off."""
        return min(max(round(cutoff * self.thresholds), 0), self.thresholds - 1)

    def within(self, limits: tuple[float, float]) -> slice:
        """All k for which k / T lies in a range, ends included; the nearest to it if none does."""
        cutoffs = np.arange(self.thresholds) / self.thresholds
        inside = np.flatnonzero((cutoffs >= limits[0]) & (cutoffs <= limits[1]))
        first = int(inside[0]) if len(inside) else self.grid(sum(limits) / 2)
        return slice(first, first + max(1, len(inside)))


class _Builder:
    """Rows of a table while predictions come in."""

    def __init__(self, options: MetricOptions, cutoffs: Cutoffs) -> None:
        self.options = options
        self.cutoffs = cutoffs
        self.levels = even_thresholds(options.thresholds)
        self.scores: list[NDArray[np.float32]] = []
        self.positive: list[NDArray[np.bool_]] = []
        self.difficult: list[NDArray[np.bool_]] = []
        self.stored: list[tuple[int, int]] = []
        self.true: list[NDArray[np.unsignedinteger]] = []
        self.false: list[NDArray[np.unsignedinteger]] = []
        self.truths: Counter[int] = Counter()
        self.pairs: Counter[int] = Counter()
        self.gt_known_hits: dict[int, NDArray[np.int64]] = defaultdict(self._zeros)
        self.box_acc_hits = np.zeros((len(DELTAS), options.thresholds), np.int64)

    def add(self, p: Prediction) -> None:
        """One image with all its maps."""
        classes = np.arange(len(p.scores))
        given = given_pairs(p.truth, self.options.blacklisted).boxes
        for label in p.map_labels.tolist():
            self.stored.append((len(self.scores), label))
            self._add_map(p, label, given.get(label))
        self.scores.append(p.scores)
        self.positive.append(np.isin(classes, p.truth.labels))
        self.difficult.append(np.isin(classes, p.truth.difficult_labels))
        if not left_out(p.truth, self.options.blacklisted):
            self.truths.update(p.truth.box_labels[p.truth.box_required].tolist())

    def _add_map(self, p: Prediction, label: int, given: NDArray[np.float32] | None) -> None:
        boxes, best_iou = self._boxes(p, label, given)
        self._count(p, label, boxes)
        if given is not None:
            overlaps = best_iou_per_box(boxes.one_each(), given, self.options.box_widths)
            self.pairs[label] += 1
            self.gt_known_hits[label] += overlaps >= self.options.iou
            self.box_acc_hits += hits_per_delta(best_iou)

    def _count(self, p: Prediction, label: int, boxes: BoxesPerCutoff) -> None:
        """Detections of a class, which evaluation matches in the order of their scores."""
        ranked = boxes.by_heat() if self.cutoffs.weighs_heat else boxes
        if left_out(p.truth, self.options.blacklisted):
            ranked = ranked.take(np.zeros(0, np.int64))
        counts = count_matches(
            ranked.levels,
            ranked.found.boxes_xyxy,
            p.truth,
            label,
            self.options.iou,
            self.options.thresholds,
        )
        for column, counted in zip((self.true, self.false), counts, strict=True):
            # A noisy map has hundreds of components; most have a few.
            column.append(counted.astype(np.min_scalar_type(counted.max(initial=0))))

    def _boxes(
        self, p: Prediction, label: int, given: NDArray[np.float32] | None
    ) -> tuple[BoxesPerCutoff, NDArray[np.float64]]:
        """The boxes of a map and (T,) best IoU of any component of the main scale."""
        raws = p.maps_of(label)
        in_image = upsample(raws[0], p.width, p.height, align_corners=self.cutoffs.align_corners)
        map01 = normalize(in_image)
        swept = sweep(map01, self.levels, given)
        shared = cuts_in_image(self.cutoffs) and unit_of(self.cutoffs) == "range"
        main = CutMap(map01, in_image) if shared else None
        maps = maps_to_cut(raws, p.width, p.height, self.cutoffs, main)
        known = swept if maps[0] is main else None
        boxes = boxes_per_cutoff(
            maps, p.width, p.height, self.levels, self.cutoffs, label, p.regions_xyxy, known
        )
        return boxes, swept.best_iou

    def table(self, cooccurrence: NDArray[np.float64]) -> SearchTable:
        """The finished table."""
        if not self.stored:
            raise ValueError("nothing to search on: no predictions, or none with a stored map")
        images, labels = (np.array(column) for column in zip(*self.stored, strict=True))
        classes = range(len(self.scores[0]))
        return SearchTable(
            scores=np.array(self.scores),
            positive=np.array(self.positive),
            difficult=np.array(self.difficult),
            pair_image=images,
            pair_label=labels,
            true=np.array(self.true),
            false=np.array(self.false),
            truths=np.array([self.truths[k] for k in classes]),
            pairs=np.array([self.pairs[k] for k in classes]),
            gt_known_hits=np.array([self.gt_known_hits[k] for k in classes]),
            box_acc_hits=self.box_acc_hits,
            cooccurrence=cooccurrence,
        )

    def _zeros(self) -> NDArray[np.int64]:
        return np.zeros(self.options.thresholds, np.int64)
