"""The search over stored maps: all cut-offs in one walk against one candidate after the other.

# N images, K classes, T cut-offs
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workloads.benchmarks.extent import Extent
from workloads.benchmarks.interleaved import interleaved, one_torch_thread
from workloads.localization.cooccurrence import rescore
from workloads.metrics.options import MetricOptions
from workloads.predictions.store import Prediction, classes_to_store
from workloads.records import GroundTruth
from workloads.search.cutoff_scan import Scan, scan
from workloads.search.grid_search import search
from workloads.search.objective import objective
from workloads.search.options import SearchOptions
from workloads.search.table import SearchTable

CLASSES, STORED = 20, 10
SIDE, FIELD = 224, 14
IMAGES: dict[Extent, int] = {"quick": 24, "usual": 1_000, "full": 1_000}
REPEATS: dict[Extent, int] = {"quick": 1, "usual": 2, "full": 5}
OPTIONS = SearchOptions(alphas=40)
CUTOFFS = 25


class Values(NamedTuple):
    """Results of both ways in each round."""

    at_once: list[list[Scan]]
    one_by_one: list[list[list[dict[str, float]]]]


def compare_search(extent: Extent = "usual") -> dict[str, object]:
    """1,000 candidates of cut-off x alpha on stored maps: by one walk per alpha, and one by one.

    Predictions are made up: 1,000 images of 224x224 with one or two objects of 20 classes, maps
    of 14x14 for ten classes of each and its own, a blob near an object over noise. The table of
    their boxes is built once, with 1,000 cut-offs. Of it 25 cut-offs, evenly apart, and 40 alphas
    are the candidates. Both ways value all of them, on one thread, in turns; then the search
    tries every cut-off of its range with the 40 alphas.

    Returns:
        `ratio` one by one / at once; seconds of CPU time of each, of building the table
        (`table_s`) and of the search of everything (`exact_s`, with `exact_candidates`);
        `together_s` from stored maps to the values of the 1,000 candidates; `max_difference` of
        any value of both ways.
    """
    predictions = list(made_predictions(IMAGES[extent]))
    together = np.random.default_rng(1).random((CLASSES, CLASSES)) / CLASSES
    warm_up(predictions[:2], together)
    started = time.process_time()
    table = SearchTable.build(predictions, together, MetricOptions(bootstrap=0))
    table_s = time.process_time() - started
    few, values = thinned(table, table.thresholds // CUTOFFS), Values([], [])
    with one_torch_thread():
        rounds = interleaved(
            {
                "at_once": lambda: values.at_once.append(at_once(few)),
                "one_by_one": lambda: values.one_by_one.append(one_by_one(few)),
            },
            REPEATS[extent],
        )
    seconds = {f"{way}_s": ms / 1000 for way, ms in rounds.ms().items()}
    started = time.process_time()
    search(table, OPTIONS)
    tried = table.within(OPTIONS.cutoff_range)
    return {
        "name": "search",
        "ratio": rounds.ratio("one_by_one", "at_once"),
        "images": len(predictions),
        "maps": len(table.pair_label),
        "candidates": len(OPTIONS.alpha_values) * few.thresholds,
        "table_s": table_s,
        **seconds,
        "together_s": table_s + seconds["at_once_s"],
        "exact_s": time.process_time() - started,
        "exact_candidates": len(OPTIONS.alpha_values) * (tried.stop - tried.start),
        "max_difference": max(map(difference, *values)),
    }


def warm_up(predictions: list[Prediction], together: NDArray[np.float64]) -> None:
    """Compile what both ways use."""
    search(SearchTable.build(predictions, together, MetricOptions(bootstrap=0)), OPTIONS)


def thinned(table: SearchTable, step: int) -> SearchTable:
    """The same table with every step-th cut-off."""
    return replace(
        table,
        true=np.ascontiguousarray(table.true[:, ::step]),
        false=np.ascontiguousarray(table.false[:, ::step]),
        gt_known_hits=np.ascontiguousarray(table.gt_known_hits[:, ::step]),
        box_acc_hits=np.ascontiguousarray(table.box_acc_hits[:, ::step]),
    )


def at_once(table: SearchTable) -> list[Scan]:
    """All cut-offs of each alpha."""
    return [
        scan(table, rescore(table.scores, table.cooccurrence, alpha))
        for alpha in OPTIONS.alpha_values
    ]


def one_by_one(table: SearchTable) -> list[list[dict[str, float]]]:
    """The same, each candidate by itself."""
    cutoffs = [k / table.thresholds for k in range(table.thresholds)]
    return [
        [objective(table, cutoff, alpha) for cutoff in cutoffs] for alpha in OPTIONS.alpha_values
    ]


def difference(scans: list[Scan], candidates: list[list[dict[str, float]]]) -> float:
    """The largest difference of any value of both ways."""
    return max(
        abs(found.at(k)[name] - value)
        for found, alone in zip(scans, candidates, strict=True)
        for k, values in enumerate(alone)
        for name, value in values.items()
    )


def made_predictions(count: int) -> Iterator[Prediction]:
    """Images with one or two objects, the same each time."""
    rng = np.random.default_rng(0)
    for index in range(count):
        yield _prediction(rng, index)


def _prediction(rng: np.random.Generator, index: int) -> Prediction:
    labels = rng.choice(CLASSES, int(rng.integers(1, 3)), replace=False)
    sides = rng.uniform(40, 160, (len(labels), 2))
    corners = rng.uniform(0, SIDE - sides)
    boxes = np.concatenate([corners, corners + sides], axis=1).astype(np.float32)
    truth = GroundTruth.from_boxes(boxes, labels.astype(np.int32))
    scores = (0.6 * rng.random(CLASSES)).astype(np.float32)
    scores[labels] += 0.3
    stored = classes_to_store(truth, scores, STORED)
    maps = 0.2 * rng.random((len(stored), FIELD, FIELD))
    for box, label in zip(boxes, labels, strict=True):
        maps[stored == label] += _blob(rng, box)
    return Prediction(
        image_id=f"{index:05}",
        split="val",
        width=SIDE,
        height=SIDE,
        truth=truth,
        scores=scores,
        map_labels=stored,
        scales=(maps.astype(np.float32),),
    )


def _blob(rng: np.random.Generator, box: NDArray[np.float32]) -> NDArray[np.float64]:
    """(14, 14) about as large as the box, off its middle."""
    x0, y0, x1, y1 = box * FIELD / SIDE
    y, x = np.mgrid[:FIELD, :FIELD] + 0.5
    cx, cy = (x0 + x1) / 2 + rng.normal(), (y0 + y1) / 2 + rng.normal()
    blob: NDArray[np.float64] = np.exp(
        -4 * (((x - cx) / (x1 - x0)) ** 2 + ((y - cy) / (y1 - y0)) ** 2)
    )
    return blob
