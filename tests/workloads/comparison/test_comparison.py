"""The comparison of all methods: its plan, and what its trials come to."""

from __future__ import annotations

import math
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from workloads.comparison import pictures, trial
from workloads.comparison.pictures import draw_maps
from workloads.comparison.places import Places
from workloads.comparison.plan import (
    Claim,
    Data,
    Plan,
    Reading,
    Trial,
    load_plan,
    recipe_of,
)
from workloads.comparison.summary import Spread, table, verdicts
from workloads.errors import ConfigError
from workloads.methods.registry import METHODS
from workloads.metrics.registry import METRICS
from workloads.recipes.load import load_recipe


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
    assert (first["data"], first["reading"]) == ("d", "a")


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


def test_a_trial_from_images_to_values(tmp_path) -> None:
    """A tiny training, read in two ways; a second call trains nothing."""
    options = {"train": 64, "val": 16, "test": 16}
    shards = trial.make_shards(Data(dataset="digits", options=options), tmp_path / "digits")
    plan = load_plan()
    recipe = recipe_of(plan, "cam", "several", 0)
    train = recipe.train.model_copy(update={"epochs": 1, "batch_size": 16})
    recipe = recipe.model_copy(update={"initial": None, "train": train})
    model = trial.train(recipe, shards, {}, tmp_path / "model", None)
    before = (model / "manifest.json").stat().st_mtime_ns
    assert trial.train(recipe, shards, {}, tmp_path / "model", None) == model
    assert (model / "manifest.json").stat().st_mtime_ns == before
    data = Data(dataset="digits")
    for reading in (Reading(), Reading(method="centre-point")):
        values = trial.measure(plan, data, model, reading, shards)
        assert set(plan.metrics) <= set(values)
        assert 0 <= values["pointing"] <= 1
        assert set(values["parameters"]) == {"gt_known", "box_f1", "alpha"}
    readings = {
        "cam": (model, Reading(), 0.4),
        "centre": (model, Reading(method="centre-point"), 0.7),
    }
    drawn = np.asarray(draw_maps(shards, readings))
    height, width = (drawn.shape[0] // pictures.IMAGES, drawn.shape[1] // 3)
    first = [drawn[:height, x * width : (x + 1) * width] for x in range(3)]
    assert not any(np.array_equal(a, b) for a, b in combinations(first, 2))


def test_a_change_of_the_plan_moves_what_it_touches(tmp_path) -> None:
    plan = small_plan()
    seeds = {"budget": {"epochs": 3}}
    slower = plan.model_copy(update={"data": {"d": Data(dataset="digits", **seeds)}})
    asked = plan.model_copy(update={"metrics": ("pointing", "gt_known")})
    before, trained, measured = (Places(tmp_path, p) for p in (plan, slower, asked))
    one = Trial("a", "d", 0)
    assert before.model(one) != trained.model(one)
    assert before.model(one) == measured.model(one)
    assert before.result(one) != measured.result(one)
    assert before.data("d") == measured.data("d")
    assert len({before.result(t) for t in plan.trials()}) == len(plan.trials()) == 6


def test_the_page_shows_every_claim_and_every_reading() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "comparison.md").read_text()
    plan, sections = load_plan(), dict(part.split("\n", 1) for part in page.split("\n## ")[1:])
    for claim in plan.claims:
        assert f"| {claim.paper} | {claim.text} | {claim.data} | {claim.metric} |" in page
    for data in plan.data:
        shown = re.findall(r"^\| `(.+?)` \|", sections[data], re.MULTILINE)
        assert shown == list(plan.readings(data))
