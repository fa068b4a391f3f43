"""Trainings by a recipe in this process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_recipe import made_recipe

from workloads.datasets.digit_options import DigitsOptions
from workloads.datasets.digits import Digits, make_digits
from workloads.errors import ConfigError
from workloads.models.version import check_card, load_network
from workloads.recipes.train import train
from workloads.shards.ingest import ingest
from workloads.shards.shards import Shards


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    folder = tmp_path_factory.mktemp("digits")
    make_digits(folder / "tree", DigitsOptions(train=16, val=4, test=1))
    return ingest(Digits(folder / "tree"), folder / "shards", ("train", "val"))


def test_training_twice_gives_one_model_and_tells_each_epoch(
    shards: Shards, tmp_path: Path
) -> None:
    given = {"backbone": None}
    told: list[dict[str, float]] = []
    one = train(made_recipe(), shards, tmp_path / "a", initial=given, on_epoch=told.append)
    other = train(made_recipe(), shards, tmp_path / "b", initial=given)
    short = train(made_recipe(), shards, tmp_path / "c", initial=given, epochs=1)
    assert one.digest == other.digest != short.digest
    assert len(told) == 2
    assert one.card.classes == shards.classes
    np.testing.assert_array_equal(one.card.cooccurrence, shards.cooccurrence("train"))
    loaded, card = load_network(one.folder, one.card), one.card
    check_card(card, loaded)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "recipe 'made': part 'backbone' needs weights; give initial={'backbone': PATH}, "
             "or None for random ones"),
        ({"backbon": None}, "initial: unknown part 'backbon'; did you mean 'backbone'? "
                            "(allowed: backbone)"),
    ],
)  # fmt: skip
def test_weights_that_are_not_given_are_never_silently_random(
    given: dict[str, Path | None], message: str, shards: Shards, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        train(made_recipe(initial="imagenet"), shards, tmp_path / "m", initial=given)
    assert str(caught.value) == message
    assert not (tmp_path / "m").exists()


def test_what_the_recipe_leaves_random_need_not_be_given(shards: Shards, tmp_path: Path) -> None:
    train(made_recipe(), shards, tmp_path / "m", epochs=1).verify()
