"""The plan of the comparison: what it trains, what it reads, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workloads.comparison.places import Places
from workloads.comparison.plan import Data, Plan, Reading, Trial, load_plan, recipe_of
from workloads.errors import ConfigError
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


def test_a_budget_that_no_training_has_is_refused_with_the_training() -> None:
    wrong = plan(budget={"epoch": 3})
    with pytest.raises(ConfigError, match="training cam") as caught:
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
        ({"seeds": []}, ("seeds",)),
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


CAM, OTHER_SEED = Trial("cam", "several", 0), Trial("cam", "several", 1)


def changed(**changes: Any) -> Places:
    return Places(Path("work"), plan(**changes))


def test_paths_lie_below_the_folder_and_tell_what_they_are() -> None:
    places = changed()
    assert places.model(CAM).parent.as_posix() == "work/models"
    assert places.model(CAM).name.startswith("cam-several-0-")
    assert places.result(CAM).suffix == ".json"
    assert places.data("single").name.startswith("single-")
    assert places.start_data("digits-cam-tiny").name.startswith("for-digits-cam-tiny-")
    assert places.start("digits-cam-tiny").parent.name == "starts"
    assert places.proposals("single").parent.name == "proposals"


def test_nothing_shares_a_path() -> None:
    places, trials = changed(), plan().trials()
    paths = [places.model(t) for t in trials] + [places.result(t) for t in trials]
    paths += [f(name) for f in (places.data, places.proposals) for name in plan().data]
    paths += [f("digits-cam-tiny") for f in (places.start, places.start_data)]
    assert len(set(paths)) == len(paths)


def test_a_longer_training_is_another_model_of_the_same_data() -> None:
    before, after = changed(), changed(budget={"epochs": 4, "batch_size": 16})
    assert before.model(CAM) != after.model(CAM)
    assert before.result(CAM) != after.result(CAM)
    assert before.data("several") == after.data("several")


def test_a_budget_of_one_data_set_leaves_the_others() -> None:
    data = {**values()["data"], "single": {"dataset": "single-digits", "budget": {"epochs": 6}}}
    before, after = changed(), changed(data=data)
    single = Trial("cam", "single", 0)
    assert before.model(CAM) == after.model(CAM)
    assert before.model(single) != after.model(single)


def test_other_images_are_other_data_models_and_results() -> None:
    data = {**values()["data"], "several": Data(dataset="digits", options={"train": 99})}
    before, after = changed(), changed(data=data)
    for path in (Places.data, Places.proposals):
        assert path(before, "several") != path(after, "several")
        assert path(before, "single") == path(after, "single")
    assert before.model(CAM) != after.model(CAM)


def test_a_further_reading_repeats_the_reading_and_not_the_training() -> None:
    trainings = values()["trainings"]
    readings = {**trainings["cam"]["readings"], "lower": Reading(options={})}
    more = {**trainings, "cam": {**trainings["cam"], "readings": readings}}
    before, after = changed(), changed(trainings=more)
    assert before.model(CAM) == after.model(CAM)
    assert before.result(CAM) != after.result(CAM)
    spn = Trial("spn", "several", 0)
    assert before.result(spn) == after.result(spn)


def test_another_claim_repeats_nothing() -> None:
    before, after = changed(), changed(claims=[])
    for trial in plan().trials():
        assert before.result(trial) == after.result(trial)


def test_the_quick_plan_has_every_training_once_for_one_epoch() -> None:
    whole, quick = load_plan(), load_plan().quick()
    assert len(quick.trials()) * len(whole.seeds) == len(whole.trials())
    for trial in quick.trials():
        assert recipe_of(quick, *trial).train.epochs == 1
        assert quick.data[trial.data].options["train"] == 64
        assert quick.data[trial.data].dataset == whole.data[trial.data].dataset
