"""Cut-offs and the co-occurrence weight as functions of stored maps: no network, no maps twice.

`SearchTable.build` walks once over the stored maps and keeps, for every map and each of T
cut-offs, one byte: what the box of the largest component would be (true, false, ignored, or no
box). A trial of the search is then a few sums over that table.

# N images, K classes, P stored maps (image-class pairs), T cut-offs
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workloads.localization.boxes import best_iou_per_box
from workloads.localization.component_tree import even_thresholds, sweep
from workloads.localization.cooccurrence import rescore
from workloads.localization.maps import normalize, upsample
from workloads.metrics.average_precision import mean_average_precision
from workloads.metrics.bootstrap import ratio
from workloads.metrics.matching import FALSE_POSITIVE, IGNORED, TRUE_POSITIVE, match_alone
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
        outcomes: (P, T) uint8; outcome of the largest component's box as the only detection of
            its class, or NO_BOX.
        truths: number of ground-truth boxes to be found.
        pairs: number of pairs that count for GT-known localization.
        gt_known_hits: (T,) int64; those of them whose largest component's box is right.
        box_acc_hits: (3, T) int64; given pairs with a component that reaches IoU .3, .5, .7.
        cooccurrence: (K, K) p(i | j).
    """

    scores: NDArray[np.float32]
    positive: NDArray[np.bool_]
    difficult: NDArray[np.bool_]
    pair_image: NDArray[np.int64]
    pair_label: NDArray[np.int64]
    outcomes: NDArray[np.uint8]
    truths: int
    pairs: int
    gt_known_hits: NDArray[np.int64]
    box_acc_hits: NDArray[np.int64]
    cooccurrence: NDArray[np.float64]

    @classmethod
    def build(
        cls,
        predictions: Iterable[Prediction],
        cooccurrence: NDArray[np.float64],
        options: MetricOptions | None = None,
    ) -> SearchTable:
        """Walk over all stored maps once; about the time of one evaluation.

        Args:
            cooccurrence: (K, K) p(i | j) over the training labels, from the model card.
            options: IoU and number of cut-offs.

        Raises:
            ValueError: there are no predictions, or none has a map.
        """
        builder = _Builder(options or MetricOptions())
        for prediction in predictions:
            builder.add(prediction)
        return builder.table(cooccurrence)

    @property
    def thresholds(self) -> int:
        """T."""
        return int(self.outcomes.shape[1])


def objective(table: SearchTable, cutoff: float, alpha: float) -> dict[str, float]:
    """The metrics of one choice of parameters, as evaluation would find them.

    Boxes are those of box rule "largest".

    Args:
        cutoff: rounded to the nearest k / T, the grid on which boxes are known.
        alpha: weight of the co-occurrence rescoring.

    Returns:
        `gt_known` and `classification_map`; `box_f1`, the best over all score thresholds, with
        its `score_threshold` (the highest of equally good ones); and `cutoff`, the rounded one.
        A metric without any case is NaN.
    """
    k = min(max(round(cutoff * table.thresholds), 0), table.thresholds - 1)
    rescored = rescore(table.scores, table.cooccurrence, alpha)
    outcomes = table.outcomes[:, k]
    f1, threshold = _best_f1(rescored[table.pair_image, table.pair_label], outcomes, table.truths)
    return {
        "gt_known": ratio(table.gt_known_hits[k], table.pairs),
        "classification_map": mean_average_precision(rescored, table.positive, table.difficult),
        "box_f1": f1,
        "score_threshold": threshold,
        "cutoff": k / table.thresholds,
    }


def cutoff_curve(table: SearchTable) -> dict[str, object]:
    """Box accuracy at every cut-off, plain JSON.

    Returns:
        `cutoffs` (T); `gt_known` (T) with the largest component; `max_box_acc` IoU -> (T) with
        every component and `max_box_acc_v2` the value at the best cut-off for each IoU; and
        `best_cutoff`, the lowest with the best `gt_known`.
    """
    hits, pairs = table.gt_known_hits, table.pairs
    return {
        "cutoffs": [k / table.thresholds for k in range(table.thresholds)],
        "gt_known": [ratio(count, pairs) for count in hits],
        "max_box_acc": {
            str(delta): [ratio(count, pairs) for count in row]
            for delta, row in zip(DELTAS, table.box_acc_hits, strict=True)
        },
        "max_box_acc_v2": ratio(table.box_acc_hits.max(axis=1).sum(), len(DELTAS) * pairs),
        "best_cutoff": int(np.argmax(hits)) / table.thresholds,
    }


class _Builder:
    """Rows of a table while predictions come in."""

    def __init__(self, options: MetricOptions) -> None:
        self.options = options
        self.levels = even_thresholds(options.thresholds)
        self.scores: list[NDArray[np.float32]] = []
        self.positive: list[NDArray[np.bool_]] = []
        self.difficult: list[NDArray[np.bool_]] = []
        self.stored: list[tuple[int, int]] = []
        self.outcomes: list[NDArray[np.uint8]] = []
        self.truths, self.pairs = 0, 0
        self.gt_known_hits = np.zeros(options.thresholds, np.int64)
        self.box_acc_hits = np.zeros((len(DELTAS), options.thresholds), np.int64)

    def add(self, p: Prediction) -> None:
        """One image with all its maps."""
        classes = np.arange(len(p.scores))
        given = given_pairs(p.truth, self.options.blacklisted).boxes
        for label, raw in zip(p.map_labels.tolist(), p.maps, strict=True):
            self.stored.append((len(self.scores), label))
            map01 = normalize(upsample(raw, p.width, p.height))
            self._add_map(p, label, map01, given.get(label))
        self.scores.append(p.scores)
        self.positive.append(np.isin(classes, p.truth.labels))
        self.difficult.append(np.isin(classes, p.truth.difficult_labels))
        if not left_out(p.truth, self.options.blacklisted):
            self.truths += int(p.truth.box_required.sum())

    def _add_map(
        self,
        p: Prediction,
        label: int,
        map01: NDArray[np.float32],
        given: NDArray[np.float32] | None,
    ) -> None:
        found, iou = sweep(map01, self.levels, given), self.options.iou
        outcomes = match_alone(found.largest_xyxy, p.truth, label, iou)
        if left_out(p.truth, self.options.blacklisted):
            outcomes[:] = IGNORED
        outcomes[found.largest_xyxy[:, 2] == 0] = NO_BOX
        self.outcomes.append(outcomes)
        if given is not None:
            overlaps = best_iou_per_box(found.largest_xyxy, given, self.options.box_widths)
            self.pairs += 1
            self.gt_known_hits += overlaps >= iou
            self.box_acc_hits += hits_per_delta(found.best_iou)

    def table(self, cooccurrence: NDArray[np.float64]) -> SearchTable:
        """The finished table."""
        if not self.stored:
            raise ValueError("nothing to search on: no predictions, or none with a stored map")
        images, labels = (np.array(column) for column in zip(*self.stored, strict=True))
        return SearchTable(
            scores=np.array(self.scores),
            positive=np.array(self.positive),
            difficult=np.array(self.difficult),
            pair_image=images,
            pair_label=labels,
            outcomes=np.array(self.outcomes),
            truths=self.truths,
            pairs=self.pairs,
            gt_known_hits=self.gt_known_hits,
            box_acc_hits=self.box_acc_hits,
            cooccurrence=cooccurrence,
        )


def _best_f1(
    scores: NDArray[np.float32], outcomes: NDArray[np.uint8], truths: int
) -> tuple[float, float]:
    """The best F1 over all score thresholds and its threshold, in one pass.

    Args:
        scores: (P,) score of each pair's box.
        outcomes: (P,) its outcome; boxes that are ignored or missing enter neither count.
        truths: number of ground-truth boxes to be found.
    """
    true, false = outcomes == TRUE_POSITIVE, outcomes == FALSE_POSITIVE
    counts = true | false
    if not counts.any():
        return ratio(0, truths), Cutoffs().score_threshold
    order = np.argsort(-scores[counts], kind="stable")
    ranked = scores[counts][order]
    # Equal scores pass a threshold together.
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    hits = np.cumsum(true[counts][order])[ends]
    f1 = 2 * hits / (ends + 1 + truths)  # 2 TP + FP + FN = detections + ground truth
    best = int(np.argmax(f1))
    return float(f1[best]), float(ranked[ends[best]])
