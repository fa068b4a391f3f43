"""What a search on stored maps needs to know of them, from one walk over them.

For every map and each of T cut-offs the table keeps one byte: what the class's one box would be
(true, false, ignored, or no box).

# N images, K classes, P stored maps (image-class pairs), T cut-offs
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workloads.localization.boxes import best_iou_per_box
from workloads.localization.boxes_per_cutoff import boxes_per_cutoff
from workloads.localization.class_boxes import cuts_in_image, map_to_cut
from workloads.localization.component_tree import even_thresholds, sweep
from workloads.localization.maps import normalize, upsample
from workloads.metrics.matching import IGNORED, match_alone
from workloads.metrics.max_box_acc import DELTAS, hits_per_delta
from workloads.metrics.options import MetricOptions
from workloads.metrics.pairs import given_pairs, left_out
from workloads.model_card import Cutoffs
from workloads.predictions import Prediction

NO_BOX = 255


@dataclass(frozen=True, slots=True)
class SearchTable:
    """What a search needs to know of stored predictions.

    Attributes:
        scores: (N, K) float32 as the network gave them.
        positive, difficult: (N, K) bool; classes with an object that is not difficult, and
            classes with difficult objects only.
        pair_image, pair_label: (P,) row and class of each stored map.
        outcomes: (P, T) uint8; outcome of the map's one box as the only detection of its class,
            or NO_BOX.
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
    outcomes: NDArray[np.uint8]
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
            cutoffs: the model's, for what is not searched: how a map becomes boxes. With box rule
                "all" the one box is that of the largest component; see `boxes_per_cutoff`.

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
        return int(self.outcomes.shape[1])

    def grid(self, cutoff: float) -> int:
        """The k for which k / T is nearest to a cut-off."""
        return min(max(round(cutoff * self.thresholds), 0), self.thresholds - 1)


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
        self.outcomes: list[NDArray[np.uint8]] = []
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
        outcomes = match_alone(boxes, p.truth, label, self.options.iou)
        if left_out(p.truth, self.options.blacklisted):
            outcomes[:] = IGNORED
        outcomes[boxes[:, 2] == 0] = NO_BOX
        self.outcomes.append(outcomes)
        if given is not None:
            overlaps = best_iou_per_box(boxes, given, self.options.box_widths)
            self.pairs[label] += 1
            self.gt_known_hits[label] += overlaps >= self.options.iou
            self.box_acc_hits += hits_per_delta(best_iou)

    def _boxes(
        self, p: Prediction, label: int, given: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """(T, 4) the one box of a map and (T,) best IoU of any component of the main scale."""
        main, *others = p.maps_of(label)
        map01 = normalize(upsample(main, p.width, p.height))
        swept = sweep(map01, self.levels, given)
        if cuts_in_image(self.cutoffs):
            first, known = map01, swept
        else:
            first, known = map_to_cut(main, p.width, p.height, self.cutoffs), None
        maps01 = [first, *(map_to_cut(raw, p.width, p.height, self.cutoffs) for raw in others)]
        boxes = boxes_per_cutoff(
            maps01, p.width, p.height, self.levels, self.cutoffs, label, p.regions_xyxy, known
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
            outcomes=np.array(self.outcomes),
            truths=np.array([self.truths[k] for k in classes]),
            pairs=np.array([self.pairs[k] for k in classes]),
            gt_known_hits=np.array([self.gt_known_hits[k] for k in classes]),
            box_acc_hits=self.box_acc_hits,
            cooccurrence=cooccurrence,
        )

    def _zeros(self) -> NDArray[np.int64]:
        return np.zeros(self.options.thresholds, np.int64)
