"""What `wsol run` says before it begins."""

from __future__ import annotations

import pytest

from orchestrator.config.settings import Settings
from orchestrator.pipeline.plan import Planned, plan, seconds_per_image
from orchestrator.pipeline.stages import plan_lines
from workloads.recipes.load import load_recipe

SHIPPED, TRAINED = "digits-cam-tiny", "digits-oquab-tiny"


def planned(values: dict[str, object], *recipes: str) -> dict[str, Planned]:
    settings = Settings.model_validate({"cluster": "inline", **values})
    stages = plan(settings, {name: load_recipe(name) for name in recipes})
    return {stage.name: stage for stage in stages}


def test_every_stage_in_its_order_with_what_it_does() -> None:
    stages = planned({"data": {"digits": {"train": 1000}}, "train": {"epochs": 3}}, SHIPPED)
    assert list(stages) == [
        "data", "ingest", f"train-{SHIPPED}", f"tune-{SHIPPED}", f"register-{SHIPPED}",
        "champion", f"evaluate-{SHIPPED}", "annotate", "serve", "report",
    ]  # fmt: skip
    assert stages["data"].work == "make 2,000 images"
    assert stages[f"train-{SHIPPED}"].work == "1,000 images x 3 epochs"
    assert all(stage.seconds for stage in stages.values())


def test_a_start_that_is_not_shipped_is_trained_first() -> None:
    stages = planned({}, TRAINED)
    assert list(stages)[2] == "pretrain-digits-pretrain-tiny-fc"


def test_nobody_knows_how_long_own_data_or_a_gpu_will_take() -> None:
    own = planned({"data": {"root": "photographs"}}, SHIPPED)
    assert "data" not in own
    assert own["ingest"].seconds is None
    assert own[f"train-{SHIPPED}"].work.startswith("all images x ")
    gpu = planned({"resources": {"train": {"gpus_per_worker": 1}}}, SHIPPED)
    assert gpu[f"train-{SHIPPED}"].seconds is None


def test_an_image_takes_milliseconds_on_the_small_network_and_more_on_a_large_one() -> None:
    small = seconds_per_image(load_recipe(SHIPPED), "digits")
    assert 1e-4 < small < 1
    assert seconds_per_image(load_recipe("spn-t2-vgg16"), "digits") > 3 * small


@pytest.mark.parametrize(
    ("seconds", "about"), [((60.0, 65.0), ", about 2:05 min"), ((60.0, None), "")]
)
def test_the_lines_say_what_is_left(seconds: tuple[float | None, ...], about: str) -> None:
    stages = [
        Planned("data", "make 5 images", 1.0),
        *(Planned(f"train-{at}", "so much", s) for at, s in enumerate(seconds)),
    ]
    lines = list(plan_lines(stages, lambda name: name == "data"))
    assert lines[0] == f"2 of 3 stages to do{about}:"
    assert lines[1] == "  data     make 5 images  done before"
    assert lines[2] == "  train-0  so much        about 1:00 min"
    assert list(plan_lines([], lambda _: False)) == []
