"""The plan of the comparison: what it trains, what it reads, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workloads.comparison.plan import Plan, Trial
from workloads.comparison.read import load_plan, places, read_plan
from workloads.comparison.recipes import check_readings, recipe_of
from workloads.errors import ConfigError, NotFound
from workloads.recipes.load import load_recipe


def values(**changes: Any) -> dict[str, Any]:
    """A plan of two trainings, one of them on both data sets and read in a second way."""
    return {
        "seeds": [0, 1],
        "budget": {"epochs": 3, "batch_size": 16},
        "metrics": ["pointing", "gt_known"],
        "data": {
            "several": {"dataset": "digits"},
            "single": {"dataset": "single-digits", "budget": {"epochs": 5}},
        },
        "trainings": {
            "cam": {
                "recipe": "digits-cam-tiny", "data": ["several", "single"],
                "readings": {"centre": {"method": "centre-point"}},
            },
            "spn": {"recipe": "digits-spn-tiny", "data": ["several"]},
        },
        "claims": [
            {"paper": "SPN", "text": "SPN above CAM", "data": "several", "metric": "pointing",
             "better": "spn", "than": "cam"},
        ],
        **changes,
    }  # fmt: skip


def plan(**changes: Any) -> Plan:
    return Plan.parse(values(**changes), "comparison plan")


def claim(**changes: Any) -> dict[str, Any]:
    return {**values()["claims"][0], **changes}


def test_trials_come_seed_by_seed() -> None:
    """So the first whole comparison stands after the first seed."""
    assert plan().trials() == [
        Trial("cam", "several", 0), Trial("cam", "single", 0), Trial("spn", "several", 0),
        Trial("cam", "several", 1), Trial("cam", "single", 1), Trial("spn", "several", 1),
    ]  # fmt: skip


def test_readings_of_a_data_set_name_the_training_they_read() -> None:
    assert plan().readings("several") == {"cam": "cam", "centre": "cam", "spn": "spn"}
    assert plan().readings("single") == {"cam": "cam", "centre": "cam"}


def test_the_budget_of_the_data_overrules_that_of_the_plan_and_that_the_recipe() -> None:
    own = load_recipe("digits-cam-tiny").train
    several, single = (recipe_of(plan(), "cam", data, seed=1).train for data in plan().data)
    assert (several.epochs, single.epochs) == (3, 5)
    assert several.batch_size == single.batch_size == 16
    assert (several.seed, single.seed) == (1, 1)
    assert several.learning_rate == own.learning_rate
    assert recipe_of(plan(), "cam", "several", 1).method == "cam"


def test_a_training_overrules_its_budgets_and_its_recipe() -> None:
    own = {"recipe": "digits-spg-tiny", "train": {"epochs": 7}, "options": {"b2_low": 0.03}}
    recipe = recipe_of(plan(trainings={"spg": own}, claims=[]), "spg", "single", seed=2)
    assert (recipe.train.epochs, recipe.train.batch_size, recipe.train.seed) == (7, 16, 2)
    assert recipe.method_options == {
        **load_recipe("digits-spg-tiny").method_options, "b2_low": 0.03
    }  # fmt: skip


def test_a_budget_that_no_training_has_is_refused_with_the_training() -> None:
    wrong = plan(budget={"epoch": 3})
    with pytest.raises(ConfigError, match=r"trainings\.cam") as caught:
        recipe_of(wrong, "cam", "several", 0)
    assert "epochs" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"claims": [claim(data="singel")]}, ("data of a claim", "singel", "single")),
        ({"claims": [claim(metric="gt_know")]}, ("metric of a claim", "gt_know", "gt_known")),
        ({"claims": [claim(better="spm")]}, ("reading of a claim", "spm", "spn")),
        ({"claims": [claim(than="spg")]}, ("reading of a claim", "spg", "spn")),
        ({"claims": [claim(data="single")]}, ("reading of a claim", "spn", "cam")),
        ({"claims": [claim(beter="spn")]}, ("beter", "better")),
        ({"claims": [claim(metric="box_f1", alpha=True)], "metrics": ["box_f1"]}, ("alpha",)),
        ({"seeds": []}, ("seeds",)),
        ({"seeds": [1, 1]}, ("seeds", "1 is there twice")),
        ({"metrics": ["pointin"]}, ("pointin", "did you mean 'pointing'")),
        ({"data": {}}, ("data",)),
        ({"data": {"a/b": "shards"}}, ("a/b",)),
        ({"data": {"a": {"dataset": "digitss"}}}, ("data.a", "did you mean 'digits'")),
        ({"data": {"a": {"dataset": "digits", "options": {"tran": 9}}}}, ("data.a", "train")),
        ({"data": {"a": {"options": {"train": 9}}}}, ("data.a", "shards: FOLDER")),
        ({"data": {"a": {"shards": "s", "dataset": "digits"}}}, ("data.a", "either")),
        ({"data": {"a": {"shards": "s", "options": {"train": 9}}}}, ("data.a", "have none")),
        ({"trainings": {}, "claims": []}, ("recipes or trainings",)),
        ({"recipes": ["digits-cam-tiny", "digits-cam-tiny"]}, ("recipes", "twice")),
        (
            {"recipes": ["cam.yaml"]},
            ("recipes and trainings both have a 'cam'",),
        ),
        ({"recipes": ["mine/spg.yaml", "spg.yaml"]}, ("two recipes are called 'spg'",)),
        (
            {"trainings": {n: values()["trainings"]["cam"] for n in ("cam", "spn")}},
            ("two readings on several are called 'centre'",),
        ),
        ({"metric": ["pointing"]}, ("metric", "metrics")),
    ],
)
def test_a_wrong_plan_is_refused(changes: dict[str, Any], said: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(**changes)
    message = str(caught.value)
    assert all(word in message for word in said), message


def test_a_training_on_data_that_the_plan_lacks_is_refused() -> None:
    trainings = {"cam": {"recipe": "digits-cam-tiny", "data": ["sevral"]}}
    with pytest.raises(ConfigError, match="data of training cam") as caught:
        plan(trainings=trainings, claims=[])
    assert "several" in str(caught.value)


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"recipe": "digits-cam-tny"}, ("trainings.t", "did you mean 'digits-cam-tiny'")),
        ({"recipe": "mine.yaml"}, ("trainings.t", "mine.yaml", "no such recipe")),
        (
            {"recipe": "digits-spg-tiny", "options": {"b2_lo": 1}},
            ("trainings.t", "did you mean 'b2_low'"),
        ),
        (
            {"recipe": "digits-cam-tiny", "readings": {"r": {"method": "grad-cm"}}},
            ("trainings.t.readings.r", "did you mean 'grad-cam'"),
        ),
        (
            {"recipe": "digits-spg-tiny", "readings": {"r": {"options": {"b2_lo": 1}}}},
            ("trainings.t.readings.r", "did you mean 'b2_low'"),
        ),
    ],
)
def test_a_wrong_training_is_refused_by_its_key(
    training: dict[str, Any], said: tuple[str, ...]
) -> None:
    wrong = plan(trainings={"t": training}, claims=[])
    with pytest.raises((ConfigError, NotFound)) as caught:
        check_readings(wrong, "t", recipe_of(wrong, "t", "several", 0))
    message = str(caught.value)
    assert all(word in message for word in said), message
    assert "\n" not in message


def test_recipes_are_short_for_trainings_on_all_data() -> None:
    short = plan(recipes=["digits-spg-tiny"], trainings={}, claims=[])
    assert short.trials() == [
        Trial("digits-spg-tiny", data, seed) for seed in (0, 1) for data in ("several", "single")
    ]


def test_places_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "own.yaml").write_text("base: digits-cam-tiny\n")
    file = tmp_path / "plan.yaml"
    file.write_text(
        "recipes: [mine/own.yaml, digits-spg-tiny]\n"
        "data: {here: shards, there: 's3://bucket/shards', root: /data}\n"
        "trainings:\n"
        "  cam:\n"
        "    recipe: digits-cam-tiny\n"
        "    initial: {backbone: weights/model}\n"
        "  deep: {recipe: digits-cam-tiny, initial: {backbone: random}}\n"
    )
    read = read_plan(file)
    assert [str(data.shards) for data in read.data.values()] == [
        str(tmp_path / "shards"), "s3:/bucket/shards", "/data"
    ]  # fmt: skip
    assert recipe_of(read, "own", "here", 0).name == "own"
    assert read.all_trainings["cam"].initial == {"backbone": str(tmp_path / "weights/model")}
    assert read.all_trainings["deep"].initial == {"backbone": "random"}
    assert list(read.all_trainings) == ["own", "digits-spg-tiny", "cam", "deep"]
    assert [str(place) for place in places(read)] == [
        str(tmp_path / "shards"), "s3:/bucket/shards", "/data",
        str(tmp_path / "mine/own.yaml"), str(tmp_path / "weights/model"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n", "must hold keys and values"),
        ("data: [", "not valid YAML"),
        ("recipe: [digits-cam-tiny]\ndata: {a: b}\n", "did you mean 'recipes'"),
    ],
)
def test_a_file_that_is_no_plan_is_refused_in_one_line(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "plan.yaml"
    with pytest.raises(NotFound, match="no such plan"):
        read_plan(file)
    file.write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        read_plan(file)
    assert "\n" not in str(caught.value)


def test_the_quick_plan_has_every_training_once_for_one_epoch() -> None:
    whole, quick = load_plan(), load_plan().quick()
    assert len(quick.trials()) * len(whole.seeds) == len(whole.trials())
    for trial in quick.trials():
        assert recipe_of(quick, *trial).train.epochs == 1
        assert quick.data[trial.data].options["train"] == 64
        assert quick.data[trial.data].dataset == whole.data[trial.data].dataset
    assert quick.all_trainings["oquab"].initial == {"backbone": "random"}
    assert quick.all_trainings["cam"].initial == {}
