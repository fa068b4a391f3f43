"""The comparison of all methods: its plan, and what its trials come to."""

from __future__ import annotations

import math
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from workloads.comparison import pictures
from workloads.comparison.measure import Measuring, measure
from workloads.comparison.pictures import Column, draw_maps
from workloads.comparison.plan import Claim, Data, Plan, Reading
from workloads.comparison.read import load_plan
from workloads.comparison.recipes import recipe_of
from workloads.comparison.summary import Spread, table, verdicts
from workloads.datasets.digit_options import DigitsOptions
from workloads.datasets.digits import make_digits
from workloads.datasets.registry import open_dataset
from workloads.errors import ConfigError
from workloads.images.decode import ImageLimits
from workloads.methods.registry import METHODS
from workloads.metrics.options import MetricOptions
from workloads.metrics.registry import METRICS
from workloads.recipes.load import load_recipe
from workloads.recipes.train import train
from workloads.shards.ingest import ingest
from workloads.shards.shards import Shards


def test_the_plan_names_what_exists() -> None:
    plan = load_plan()
    assert set(plan.metrics) <= set(METRICS)
    for name, training in plan.trainings.items():
        recipe = recipe_of(plan, name, training.data[0], seed=7)
        assert recipe.backbone == "tiny"
        assert recipe.train.seed == 7
        for reading in training.readings.values():
            method = METHODS[reading.method or recipe.method]
            own = recipe.method_options if reading.method is None else method.presets["tiny"]
            method.options_type.parse({**own, **reading.options}, name)


def test_every_method_is_compared() -> None:
    plan = load_plan()
    compared = {load_recipe(t.recipe).method for t in plan.trainings.values()}
    compared |= {r.method for t in plan.trainings.values() for r in t.readings.values()}
    assert compared - {None} == set(METHODS)


def test_all_trainings_have_one_budget() -> None:
    plan = load_plan()
    ordinary = {name for name, data in plan.data.items() if not data.budget}
    budgets = {
        (
            one.data in ordinary,
            recipe_of(plan, *one).train.model_dump_json(
                exclude={"fit", "image_size", "learning_rate", "seed"}
            ),
        )
        for one in plan.trials()
    }
    assert len(budgets) == 1 + (len(ordinary) < len(plan.data))


def small_plan(**claim: object) -> Plan:
    values = {"paper": "p", "text": "a beats b", "data": "d", "metric": "pointing",
              "better": "a", "than": "b", **claim}  # fmt: skip
    return Plan(
        seeds=(0, 1, 2),
        budget={},
        metrics=("pointing",),
        data={"d": Data(dataset="digits")},
        trainings={
            "a": {"recipe": "digits-cam-tiny", "data": ("d",)},  # type: ignore[dict-item]
            "b": {"recipe": "digits-cam-tiny", "data": ("d",)},  # type: ignore[dict-item]
        },
        claims=(Claim.model_validate(values),),
    )


def trials(a: list[float], b: list[float], with_alpha: float = 0.0) -> list[dict]:
    return [
        {
            "training": name, "data": "d", "seed": seed,
            "readings": {name: {"pointing": value, "with_alpha": {"pointing": value + with_alpha}}},
        }
        for name, values in (("a", a), ("b", b))
        for seed, value in enumerate(values)
    ]  # fmt: skip


def test_mean_and_spread_by_hand() -> None:
    (first, second) = table(small_plan(), trials([0.1, 0.2, 0.3], [0.5, 0.5, 0.5]))
    assert first["pointing"] == Spread(pytest.approx(0.2), pytest.approx(0.1))
    assert second["pointing"] == Spread(0.5, 0.0)
    assert (first["data"], first["reading"], first["seeds"]) == ("d", "a", 3)


def test_a_seed_that_one_side_lacks_is_not_compared() -> None:
    """0.5 against nothing; 0.2 against 0.1 and 0.4 against 0.2 differ by 0.15."""
    found = [
        t
        for t in trials([0.5, 0.2, 0.4], [0.0, 0.1, 0.2])
        if (t["seed"], t["training"]) != (0, "b")
    ]
    (verdict,) = verdicts(small_plan(), found)
    assert (verdict.seeds, verdict.seeds_for) == (2, 2)
    assert verdict.difference.mean == pytest.approx(0.15)
    assert verdict.better.mean == pytest.approx(0.3)
    assert [row["seeds"] for row in table(small_plan(), found)] == [3, 2]
    assert verdicts(small_plan(), [t for t in found if t["training"] == "a"]) == []


def test_a_value_without_a_case_has_no_mean() -> None:
    none = trials([0.1, 0.2, 0.3], [0.5, 0.5, 0.5])
    none[0]["readings"]["a"]["pointing"] = None
    assert math.isnan(table(small_plan(), none)[0]["pointing"].mean)


@pytest.mark.parametrize(
    ("a", "b", "holds", "seeds_for"),
    [
        ([0.3, 0.3, 0.3], [0.2, 0.2, 0.2], True, 3),
        ([0.3, 0.3, 0.2], [0.2, 0.2, 0.3], False, 2),  # 0.033 +- 0.067: within its error
        ([0.3, 0.3, 0.3], [0.3, 0.3, 0.3], False, 0),
        ([0.1, 0.1, 0.1], [0.2, 0.2, 0.2], False, 0),
    ],
)
def test_a_claim_holds_beyond_its_standard_error(
    a: list[float], b: list[float], holds: bool, seeds_for: int
) -> None:
    (verdict,) = verdicts(small_plan(), trials(a, b))
    assert (verdict.holds, verdict.seeds_for, verdict.seeds) == (holds, seeds_for, 3)
    assert verdict.difference.mean == pytest.approx(sum(a) / 3 - sum(b) / 3)


def test_alpha_is_compared_with_itself() -> None:
    plan = small_plan(better="a", than="a", alpha=True)
    (verdict,) = verdicts(plan, trials([0.1, 0.2, 0.3], [0, 0, 0], with_alpha=0.05))
    assert verdict.difference.mean == pytest.approx(0.05)


def test_one_trial_has_no_deviation() -> None:
    assert math.isnan(Spread.of([0.5]).deviation)


def test_wrong_names_in_a_plan_are_said() -> None:
    with pytest.raises((ConfigError, ValueError), match="reading"):
        small_plan(better="c")


HOW = Measuring(
    val="val",
    test="test",
    metrics=("pointing", "gt_known", "box_f1", "classification_map"),
    options=MetricOptions(bootstrap=0),
    stored_maps=5,
    given={},
    limits=ImageLimits(),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shards, Path]:
    """A tiny training."""
    folder = tmp_path_factory.mktemp("trained")
    make_digits(folder / "raw", DigitsOptions(train=64, val=16, test=16))
    ingest(open_dataset("digits", folder / "raw"), folder / "shards")
    recipe = recipe_of(load_plan(), "cam", "several", 0)
    options = recipe.train.model_copy(update={"epochs": 1, "batch_size": 16})
    recipe = recipe.model_copy(update={"initial": None, "train": options})
    shards = Shards.open(folder / "shards")
    return shards, train(recipe, shards, folder / "model").folder


def test_one_training_is_read_in_two_ways(trained: tuple[Shards, Path]) -> None:
    shards, model = trained
    for reading in (Reading(), Reading(method="centre-point")):
        values = measure(model, reading, shards, HOW)
        assert set(HOW.metrics) <= set(values)
        assert 0 <= values["pointing"] <= 1
        assert set(values["parameters"]) == {"gt_known", "box_f1", "alpha"}
    readings = {
        "cam": Column(model, Reading(), HOW, 0.4),
        "centre": Column(model, Reading(method="centre-point"), HOW, 0.7),
    }
    drawn = np.asarray(draw_maps(shards, readings))
    height, width = (drawn.shape[0] // pictures.IMAGES, drawn.shape[1] // 3)
    first = [drawn[:height, x * width : (x + 1) * width] for x in range(3)]
    assert not any(np.array_equal(a, b) for a, b in combinations(first, 2))


def test_a_cutoff_that_a_paper_gives_is_not_searched(trained: tuple[Shards, Path]) -> None:
    shards, model = trained
    searched = measure(model, Reading(), shards, HOW)["parameters"]
    how = HOW.model_copy(update={"given": {"cutoff": 0.77}})
    given = measure(model, Reading(), shards, how)["parameters"]
    assert (given["gt_known"], given["box_f1"]) == (0.77, 0.77) != (searched["gt_known"], 0)


def test_the_page_shows_every_claim_and_every_reading() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "comparison.md").read_text()
    plan, sections = load_plan(), dict(part.split("\n", 1) for part in page.split("\n## ")[1:])
    for claim in plan.claims:
        assert f"| {claim.paper} | {claim.text} | {claim.data} | {claim.metric} |" in page
    for data in plan.data:
        shown = re.findall(r"^\| `(.+?)` \|", sections[data], re.MULTILINE)
        assert shown == list(plan.readings(data))
