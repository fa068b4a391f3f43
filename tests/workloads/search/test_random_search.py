"""Random search on a table: which trials are made, and which of them is the best."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prediction_cases import random_predictions

from workloads.localization.cooccurrence import rescore
from workloads.localization.cutoffs import Cutoffs
from workloads.metrics.average_precision import mean_average_precision
from workloads.records import GroundTruth
from workloads.search.objective import objective
from workloads.search.options import SearchOptions
from workloads.search.random_search import MEASURED, Trial, search
from workloads.search.table import SearchTable

CLASSES = 4
TABLE = SearchTable.build(
    random_predictions(seed=5, images=40, classes=CLASSES),
    np.random.default_rng(1).random((CLASSES, CLASSES)) / 4,
)
PARAMETERS = ("cutoff", "alpha", "score_threshold")


def parameters(trial: Trial) -> tuple[float, ...]:
    return tuple(trial[name] for name in PARAMETERS)


def test_a_trial_holds_its_parameters_and_what_was_measured() -> None:
    found = search(TABLE, SearchOptions(trials=3))
    assert len(found.trials) == 3
    for trial in found.trials:
        assert set(trial) == {*PARAMETERS, *MEASURED}
        assert trial == {
            "alpha": trial["alpha"],
            **objective(TABLE, trial["cutoff"], trial["alpha"]),
        }


def test_the_first_trial_is_the_best_of_the_curve_without_rescoring() -> None:
    found = search(TABLE, SearchOptions(trials=1))
    assert found.trials[0]["alpha"] == 0.0
    assert found.trials[0]["cutoff"] == found.curve["best_cutoff"]
    assert found.best == found.trials[0]


@pytest.mark.parametrize("limits", [(0.9, 0.95), (0.01, 0.02)])
def test_the_first_trial_stays_in_the_range_as_well(limits: tuple[float, float]) -> None:
    found = search(TABLE, SearchOptions(trials=1, cutoff_range=limits))
    best = float(found.curve["best_cutoff"])
    assert not limits[0] <= best <= limits[1]
    assert found.trials[0]["cutoff"] == min(limits, key=lambda limit: abs(limit - best))


@given(
    low=st.integers(0, 89),
    width=st.integers(1, 10),
    alphas=st.tuples(st.floats(0, 0.5), st.floats(0.5, 1)),
    seed=st.integers(0, 2**32 - 1),
)
def test_all_trials_lie_in_their_ranges(
    low: int, width: int, alphas: tuple[float, float], seed: int
) -> None:
    limits = (low / 100, (low + width) / 100)
    options = SearchOptions(trials=6, seed=seed, cutoff_range=limits, alpha_range=alphas)
    first, *drawn = search(TABLE, options).trials
    for trial in (first, *drawn):
        assert limits[0] - 1e-9 <= trial["cutoff"] <= limits[1] + 1e-9
    assert all(alphas[0] <= trial["alpha"] <= alphas[1] for trial in drawn)


def test_the_same_seed_gives_the_same_trials_and_another_one_others() -> None:
    one, two, other = (search(TABLE, SearchOptions(trials=5, seed=s)).trials for s in (1, 1, 2))
    assert one == two
    assert one[0] == other[0]
    assert [parameters(t) for t in one[1:]] != [parameters(t) for t in other[1:]]


def test_more_trials_go_on_where_fewer_ended() -> None:
    """So a search that is repeated with more trials never finds less."""
    few, many = (search(TABLE, SearchOptions(trials=n)) for n in (4, 12))
    assert many.trials[:4] == few.trials
    assert many.best["box_f1"] >= few.best["box_f1"]


@pytest.mark.parametrize("metric", MEASURED)
def test_the_best_is_the_first_of_the_best(metric: str) -> None:
    found = search(TABLE, SearchOptions(trials=15, metric=metric))
    values = [trial[metric] for trial in found.trials]
    assert found.best == found.trials[values.index(max(values))]
    assert found.parameters == {
        **{name: found.best[name] for name in PARAMETERS}, "class_cutoffs": ()
    }  # fmt: skip


def test_of_equal_trials_the_first_wins() -> None:
    """Without rescoring all trials rank the classes alike, so the second cannot be better."""
    options = SearchOptions(trials=8, metric="classification_map", alpha_range=(0.0, 0.0))
    found = search(TABLE, options)
    assert len({trial["classification_map"] for trial in found.trials}) == 1
    assert found.best == found.trials[0]


def test_cutoffs_per_class_are_taken_only_where_they_gain() -> None:
    common = search(TABLE, SearchOptions(trials=4))
    each = search(TABLE, SearchOptions(trials=4, per_class=True))
    assert each.trials == common.trials
    if each.class_cutoffs:
        assert each.best["box_f1"] > common.best["box_f1"]
        assert len(each.class_cutoffs) == CLASSES
        assert set(each.class_cutoffs) != {each.best["cutoff"]}
        low, high = SearchOptions().cutoff_range
        assert all(low <= cutoff <= high for cutoff in each.class_cutoffs)
    else:
        assert each.best == common.best
    assert each.parameters["class_cutoffs"] == each.class_cutoffs


def test_a_class_that_needs_another_cutoff_gets_its_own() -> None:
    """Class 1 needs the cut-off .8, all others .2; both have 30 objects."""
    pairs = np.zeros(CLASSES, np.int64)
    pairs[:2] = 30
    hits = np.zeros((CLASSES, TABLE.thresholds), np.int64)
    hits[0, TABLE.grid(0.15) : TABLE.grid(0.25)] = 30
    hits[1, TABLE.grid(0.75) : TABLE.grid(0.85)] = 30
    split = replace(TABLE, pairs=pairs, gt_known_hits=hits)
    found = search(split, SearchOptions(trials=2, metric="gt_known", per_class=True))
    first, second, *others = found.class_cutoffs
    assert 0.15 <= first < 0.25
    assert 0.75 <= second <= 0.8, "the upper end of the range"
    assert others == [found.best["cutoff"]] * 2, "classes without objects keep the common one"
    assert found.best["gt_known"] == 1.0


def test_the_curve_belongs_to_the_table_and_not_to_the_range() -> None:
    wide, narrow = (
        search(TABLE, SearchOptions(trials=1, cutoff_range=limits)).curve
        for limits in ((0.0, 0.9), (0.4, 0.41))
    )
    assert wide == narrow
    assert len(wide["cutoffs"]) == len(wide["gt_known"]) == TABLE.thresholds


def test_without_boxes_the_scores_are_searched_and_the_cutoffs_kept() -> None:
    predictions = [
        replace(p, truth=GroundTruth(labels=p.truth.labels, blacklisted=True))
        for p in random_predictions(seed=5, images=40, classes=CLASSES)
    ]
    table = SearchTable.build(predictions, TABLE.cooccurrence)
    kept = Cutoffs(cutoff=0.37, score_threshold=0.21, class_cutoffs=(0.1, 0.2, 0.3, 0.4))
    found = search(table, SearchOptions(trials=8, metric="box_f1", per_class=True), kept)
    assert (found.metric, found.unmeasured) == ("classification_map", ("box_f1", "gt_known"))
    assert {trial["cutoff"] for trial in found.trials} == {0.37}
    assert found.parameters == {
        "cutoff": 0.37,
        "alpha": found.best["alpha"],
        "score_threshold": 0.21,
        "class_cutoffs": kept.class_cutoffs,
    }
    values = [
        mean_average_precision(
            rescore(table.scores, table.cooccurrence, trial["alpha"]), table.positive,
            table.difficult,
        )
        for trial in found.trials
    ]  # fmt: skip
    assert len({trial["alpha"] for trial in found.trials}) == 8
    assert found.best["classification_map"] == max(values)
    assert found.best["alpha"] == found.trials[values.index(max(values))]["alpha"]


def test_with_boxes_on_a_few_images_only_these_are_searched_on() -> None:
    predictions = random_predictions(seed=5, images=40, classes=CLASSES)
    boxed, bare = predictions[:12], predictions[12:]
    without = [replace(p, truth=GroundTruth(labels=p.truth.labels, blacklisted=True)) for p in bare]
    few = SearchTable.build(boxed, TABLE.cooccurrence)
    some = SearchTable.build([*boxed, *without], TABLE.cooccurrence)
    for cutoff in (0.1, 0.4, 0.7):
        alone, among = objective(few, cutoff, 0.1), objective(some, cutoff, 0.1)
        assert among["box_f1"] == alone["box_f1"]
        assert among["gt_known"] == alone["gt_known"]
        assert among["score_threshold"] == alone["score_threshold"]
