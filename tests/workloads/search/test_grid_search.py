"""The search over weights and cut-offs: it finds the best of all, and says which that is."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prediction_cases import random_predictions

from workloads.errors import ConfigError
from workloads.localization.cooccurrence import rescore
from workloads.localization.cutoffs import Cutoffs
from workloads.metrics.average_precision import mean_average_precision
from workloads.metrics.options import MetricOptions
from workloads.models.card import ModelCard, Preprocessing
from workloads.records import GroundTruth
from workloads.search.grid_search import MEASURED, Trial, search
from workloads.search.objective import objective
from workloads.search.options import SearchOptions
from workloads.search.table import SearchTable
from workloads.search.tune import tune

CLASSES = 4
TABLE = SearchTable.build(
    random_predictions(seed=5, images=40, classes=CLASSES),
    np.random.default_rng(1).random((CLASSES, CLASSES)) / 4,
)
PARAMETERS = ("cutoff", "alpha", "score_threshold")
# Few enough cut-offs to value each alone.
SMALL = SearchTable.build(
    random_predictions(seed=5, images=40, classes=CLASSES),
    TABLE.cooccurrence,
    MetricOptions(thresholds=25, bootstrap=0),
)


def first_of_the_best(trials: list[Trial], metric: str) -> Trial:
    """Of equal ones the lower weight, then the better F1, then the lower cut-off."""
    best = max(trial[metric] for trial in trials)
    equal = [trial for trial in trials if trial[metric] == best]
    lowest = [trial for trial in equal if trial["alpha"] == equal[0]["alpha"]]
    return max(lowest, key=lambda trial: trial["box_f1"])


@pytest.mark.parametrize("metric", MEASURED)
def test_it_finds_what_trying_everything_finds(metric: str) -> None:
    options = SearchOptions(metric=metric, cutoff_range=(0.1, 0.7), alphas=6)
    alphas, ks = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5), range(3, 18)  # .1 is 2.5 and .7 is 17.5 of 25
    assert options.alpha_values == pytest.approx(alphas)
    each = [
        [{"alpha": alpha, **objective(SMALL, k / 25, alpha)} for k in ks]
        for alpha in options.alpha_values
    ]
    found = search(SMALL, options)
    assert list(found.trials) == [first_of_the_best(trials, metric) for trials in each]
    assert found.best == first_of_the_best([t for trials in each for t in trials], metric)
    assert found.metric == metric
    assert len({trial["box_f1"] for trials in each for trial in trials}) > 20


def test_a_trial_holds_its_parameters_and_what_was_measured() -> None:
    found = search(TABLE, SearchOptions(alphas=3))
    assert [trial["alpha"] for trial in found.trials] == [0.0, 0.25, 0.5]
    for trial in found.trials:
        assert set(trial) == {*PARAMETERS, *MEASURED}
        assert trial == {
            "alpha": trial["alpha"],
            **objective(TABLE, trial["cutoff"], trial["alpha"]),
        }
    assert found.parameters == {
        **{name: found.best[name] for name in PARAMETERS}, "class_cutoffs": ()
    }  # fmt: skip


@given(low=st.floats(0, 1), width=st.floats(0, 0.3))
def test_all_cutoffs_lie_in_their_range(low: float, width: float) -> None:
    limits = (low, low + width)
    inside = [k for k in range(25) if limits[0] <= k / 25 <= limits[1]]
    tried = list(range(25))[SMALL.within(limits)]
    assert tried == (inside or [min(24, round(25 * (low + width / 2)))])


@pytest.mark.parametrize(
    ("limits", "count", "values"),
    [
        ((0.0, 0.0), 26, (0.0,)),
        ((0.0, 0.5), 2, (0.0, 0.5)),
        ((0.2, 0.4), 3, (0.0, 0.2, 0.3, 0.4)),
        ((0.3, 0.3), 4, (0.0, 0.3)),
        ((0.0, 0.5), 26, tuple(k / 50 for k in range(26))),
    ],
)
def test_weights_are_even_and_0_is_among_them(
    limits: tuple[float, float], count: int, values: tuple[float, ...]
) -> None:
    options = SearchOptions(alpha_range=limits, alphas=count)
    assert options.alpha_values == pytest.approx(values)


@pytest.mark.parametrize("key", ["cutoff_range", "alpha_range"])
@pytest.mark.parametrize("limits", [[0.5, 0.4], [-0.1, 0.4], [0.1, "inf"], [0.1, "nan"]])
def test_a_range_without_numbers_is_refused(key: str, limits: list) -> None:
    with pytest.raises(ConfigError, match=f"tune: {key}: must be two numbers of at least 0"):
        SearchOptions.parse({key: limits}, "tune")


def test_without_weights_there_is_one_trial() -> None:
    alone = search(TABLE, SearchOptions(alpha_range=(0.0, 0.0)))
    assert alone.trials == (alone.best,)
    assert alone.best["alpha"] == 0.0


def test_where_no_classes_come_together_no_weight_is_tried() -> None:
    apart = replace(TABLE, cooccurrence=np.eye(CLASSES))
    assert search(apart, SearchOptions()).trials == search(TABLE, SearchOptions()).trials[:1]
    bare = replace(apart, truths=apart.truths * 0, pairs=apart.pairs * 0)
    assert [trial["alpha"] for trial in search(bare, SearchOptions()).trials] == [0.0]


def test_more_weights_never_find_less() -> None:
    few, many = (search(TABLE, SearchOptions(alphas=n)) for n in (3, 5))
    assert many.trials[::2] == few.trials
    assert many.best["box_f1"] >= few.best["box_f1"]


def test_cutoffs_per_class_are_taken_only_where_they_gain() -> None:
    common = search(TABLE, SearchOptions(alphas=4))
    each = search(TABLE, SearchOptions(alphas=4, per_class=True))
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
    found = search(split, SearchOptions(alphas=2, metric="gt_known", per_class=True))
    first, second, *others = found.class_cutoffs
    assert 0.15 <= first < 0.25
    assert 0.75 <= second <= 0.8, "the upper end of the range"
    assert others == [found.best["cutoff"]] * 2, "classes without objects keep the common one"
    assert found.best["gt_known"] == 1.0


def test_the_curve_belongs_to_the_table_and_not_to_the_range() -> None:
    wide, narrow = (
        search(TABLE, SearchOptions(alphas=1, cutoff_range=limits)).curve
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
    found = search(table, SearchOptions(alphas=8, metric="box_f1", per_class=True), kept)
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


def card(**cutoffs: object) -> ModelCard:
    return ModelCard(
        method="any",
        method_options={},
        backbone="any",
        task="multilabel",
        classes=tuple("abcd"),
        preprocessing=Preprocessing(size=32, mean=(0, 0, 0), std=(1, 1, 1)),
        cutoffs=Cutoffs(**cutoffs),
        cooccurrence=tuple(map(tuple, TABLE.cooccurrence.tolist())),
        provenance={},
    )


def test_rules_are_searched_each_as_a_whole() -> None:
    """Every combination is what a search with those cut-offs alone finds; the best one wins."""
    images = random_predictions(seed=5, images=20, classes=CLASSES)
    metrics = MetricOptions(thresholds=25, bootstrap=0)
    rules = {"box_rule": ["largest", "all"], "min_box_px": [0.0, 9.0]}
    found = tune(card(min_box_px=3.0), images, SearchOptions(alphas=1, rules=rules), metrics)
    alone = [
        tune(card(box_rule=rule, min_box_px=least), images, SearchOptions(alphas=1), metrics)
        for rule in rules["box_rule"]
        for least in rules["min_box_px"]
    ]
    values = [one.best["box_f1"] for one in alone]
    assert [row["box_f1"] for row in found.by_rules] == values
    assert len(set(values)) > 2
    best = int(np.argmax(values))
    chosen = {name: found.by_rules[best][name] for name in rules}
    assert found.rules == chosen
    assert found.parameters == {**alone[best].parameters, **chosen}
    assert found.best == alone[best].best


def test_without_boxes_no_rule_is_chosen() -> None:
    images = [
        replace(p, truth=GroundTruth(labels=p.truth.labels))
        for p in random_predictions(seed=5, images=6, classes=CLASSES)
    ]
    found = tune(card(), images, SearchOptions(alphas=1, rules={"box_rule": ["all", "tight"]}))
    assert (found.rules, found.by_rules) == ({}, ())


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"box_rul": ["all"]}, "unknown cut-off 'box_rul'; did you mean 'box_rule'?"),
        ({"box_rule": ["al"]}, "box_rule: Input should be 'largest'"),
        ({"cutoff": [0.1]}, "cutoff is searched as a whole; narrow it by its range"),
        ({"box_rule": []}, "box_rule has no value to try; list some"),
        ({"nms_iou": [0.5, 1.5]}, "nms_iou: Input should be less than or equal to 1"),
    ],
)
def test_rules_that_are_none_are_refused(rules: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        SearchOptions.parse({"rules": rules}, "tune")
