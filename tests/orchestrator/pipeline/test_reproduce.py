"""Our number beside the paper's; the runs themselves are in tests/integration."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config.settings import Settings
from orchestrator.pipeline.reproduce import compare, reproduce
from orchestrator.pipeline.smoke import smoke_settings
from orchestrator.pipeline.stages import Stages
from workloads.errors import ConfigError, NotFound
from workloads.methods.registry import METHODS, build_method
from workloads.recipes.load import load_recipe, recipe_names
from workloads.recipes.miniature import NETWORK, miniature
from workloads.recipes.schema import Published


def test_ours_stands_in_the_papers_unit() -> None:
    line = compare(
        Published(metric="pointing", value=87.5), {"value": 0.9, "interval": (0.8, 0.95)}
    )
    assert (line.what, line.paper) == ("pointing", 87.5)
    assert line.ours == pytest.approx(90)
    assert line.interval == pytest.approx((80, 95))
    assert line.difference == pytest.approx(2.5)


def test_an_error_is_what_is_left_to_100() -> None:
    line = compare(
        Published(metric="gt_known", value=35.31, error=True),
        {"value": 0.6, "interval": (0.55, 0.7)},
    )
    assert line.ours == pytest.approx(40)
    assert line.interval == pytest.approx((30, 45))
    assert line.difference == pytest.approx(40 - 35.31)


def test_nothing_measured_is_no_number() -> None:
    line = compare(Published(metric="pointing", value=1.0), {"value": None, "interval": None})
    assert (line.ours, line.interval, line.difference) == (None, None, None)


def test_quoted_rows_and_miniatures_of_real_data_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"quotes 63\.3 from a system"):
        reproduce(Settings(), "spn-t1-rpn", "digits")
    with pytest.raises(ConfigError, match="--data digits"):
        reproduce(Settings(), "spn-t2-vgg16", "/data/voc", "smoke")


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("spn-t2-vgg16", "vgg16-397923af.pth"),
        ("spg-t3-resnet152", "resnet152-394f9c45.pth"),
        ("spn-t6-coco2014", "give its model folder with --initial"),
    ],
)
def test_missing_weights_are_said_before_any_work(
    name: str, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(Stages, "run", lambda *_: pytest.fail("a stage was begun"))
    settings = Settings(workspace=tmp_path / "workspace")
    initial = {"backbone": "random"} if "resnet152" in name else {}
    with pytest.raises((NotFound, ConfigError), match=missing):
        reproduce(settings, name, str(tmp_path), initial=initial)


@pytest.mark.parametrize("name", [n for n in recipe_names() if load_recipe(n).published])
def test_every_row_has_a_miniature_that_builds(name: str) -> None:
    recipe, small = load_recipe(name), miniature(load_recipe(name))
    assert (small.backbone, small.train.epochs) == (NETWORK, 1)
    assert (small.method, small.dataset, small.published) == (
        recipe.method, recipe.dataset, recipe.published,
    )  # fmt: skip
    decided = METHODS[recipe.method].presets[NETWORK]
    ablation = {k: v for k, v in recipe.method_options.items() if k not in decided}
    method = build_method(
        small.method, small.backbone, 3, "multilabel", small.preset, small.method_options
    )
    assert ablation.items() <= method.options.model_dump(mode="json").items()


def test_a_miniature_is_small_in_everything() -> None:
    settings = smoke_settings(Settings())
    assert settings.data.digits.train < 500
    assert settings.evaluate.metrics.bootstrap < 50
