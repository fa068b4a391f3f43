"""Random search in this process: its trials, its choice, and the parameters it hands on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prediction_cases import random_predictions

from workloads.localization.cutoffs import Cutoffs
from workloads.metrics.measure import evaluate
from workloads.metrics.options import MetricOptions
from workloads.models.card import ModelCard, Preprocessing
from workloads.search.objective import objective
from workloads.search.options import SearchMetric, SearchOptions
from workloads.search.random_search import MEASURED, Found, search
from workloads.search.table import SearchTable
from workloads.search.tune import tune

IMAGES = random_predictions(seed=5, images=20, classes=3)
TOGETHER = np.array([[1, 0.2, 0], [0.4, 1, 0.1], [0, 0.3, 1]])
METRICS = MetricOptions(thresholds=50, bootstrap=0)
CARD = ModelCard(
    method="any",
    method_options={},
    backbone="any",
    task="multilabel",
    classes=("a", "b", "c"),
    preprocessing=Preprocessing(size=32, mean=(0, 0, 0), std=(1, 1, 1)),
    cutoffs=Cutoffs(box_rule="all"),
    cooccurrence=tuple(tuple(row) for row in TOGETHER.tolist()),
    provenance={},
)


@pytest.fixture(scope="module")
def table() -> SearchTable:
    return SearchTable.build(IMAGES, TOGETHER, METRICS, CARD.cutoffs)


@settings(max_examples=15)
@given(st.integers(0, 999), st.integers(1, 6), st.floats(0, 0.5), st.floats(0, 0.4))
def test_trials_stay_in_their_ranges_and_follow_the_seed(
    table: SearchTable, seed: int, trials: int, low: float, width: float
) -> None:
    options = SearchOptions(
        seed=seed, trials=trials, cutoff_range=(low, low + width), alpha_range=(0.1, 0.3)
    )
    found = search(table, options)
    assert found.trials == search(table, options).trials
    assert len(found.trials) == trials
    half = 0.5 / table.thresholds + 1e-9  # cut-offs are rounded to the grid
    assert all(low - half <= t["cutoff"] <= low + width + half for t in found.trials)
    assert all(0.1 <= t["alpha"] <= 0.3 for t in found.trials[1:])
    assert found.trials[0]["alpha"] == 0.0


@pytest.mark.parametrize(
    ("cutoff_range", "expected"), [((0.0, 0.02), 0.02), ((0.9, 0.94), 0.9), ((0.0, 0.98), None)]
)
def test_the_first_trial_is_the_best_of_the_curve_within_the_range(
    table: SearchTable, cutoff_range: tuple[float, float], expected: float | None
) -> None:
    found = search(table, SearchOptions(trials=1, cutoff_range=cutoff_range))
    best = found.curve["best_cutoff"]
    assert 0.02 < best < 0.9
    assert found.trials[0]["cutoff"] == (best if expected is None else expected)
    assert found.best is found.trials[0]


def test_more_trials_begin_with_those_of_fewer(table: SearchTable) -> None:
    few, many = (search(table, SearchOptions(trials=n, seed=4)) for n in (3, 9))
    assert many.trials[:3] == few.trials


@pytest.mark.parametrize("metric", MEASURED)
def test_the_best_is_the_first_with_the_highest_value(
    table: SearchTable, metric: SearchMetric
) -> None:
    found = search(table, SearchOptions(trials=12, metric=metric))
    values = [trial[metric] for trial in found.trials]
    assert found.best == found.trials[values.index(max(values))]
    assert all(math.isfinite(value) for value in values)


def test_each_trial_is_the_objective_at_its_parameters(table: SearchTable) -> None:
    for trial in search(table, SearchOptions(trials=4, seed=2)).trials:
        again = objective(table, trial["cutoff"], trial["alpha"])
        assert {k: v for k, v in trial.items() if k != "alpha"} == again


def test_parameters_are_those_of_cutoffs_and_nothing_else() -> None:
    best = {"cutoff": 0.2, "alpha": 0.1, "score_threshold": 0.3, "box_f1": 0.9}
    parameters = Found(best, (0.1, 0.2), (best,), {}).parameters
    assert parameters.keys() == {"cutoff", "alpha", "score_threshold", "class_cutoffs"}
    cutoffs = Cutoffs.parse(parameters, "cut-offs")
    assert (cutoffs.alpha, cutoffs.class_cutoffs) == (0.1, (0.1, 0.2))


def test_tuning_keeps_the_rule_of_the_card_and_is_what_evaluation_then_finds() -> None:
    found = tune(CARD, iter(IMAGES), SearchOptions(trials=3), METRICS)
    cutoffs = Cutoffs.parse({**CARD.cutoffs.model_dump(), **found.parameters}, "cut-offs")
    tuned = CARD.model_copy(update={"cutoffs": cutoffs})
    results = evaluate(tuned, iter(IMAGES), MEASURED, METRICS)
    assert {name: results[name].value for name in MEASURED} == {
        name: found.best[name] for name in MEASURED
    }


def test_class_cutoffs_never_lose(table: SearchTable) -> None:
    options = SearchOptions(trials=3)
    plain = search(table, options)
    each = search(table, options.model_copy(update={"per_class": True}))
    assert plain.class_cutoffs == ()
    assert each.best["box_f1"] >= plain.best["box_f1"]
    assert len(each.class_cutoffs) in (0, 3)


def test_nothing_to_search_on_is_said() -> None:
    with pytest.raises(ValueError, match="nothing to search on: no predictions, or none with"):
        tune(CARD, [])
