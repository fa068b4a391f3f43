"""The card of a network that a recipe trained."""

from __future__ import annotations

import numpy as np
from made_recipe import made_recipe

from workloads.models.version import check_card
from workloads.recipes.describe import describe
from workloads.recipes.network import new_network


def test_the_card_describes_the_network_it_came_from() -> None:
    made = made_recipe(
        train={"fit": "pad", "image_size": 32, "crop_margin": 0},
        evaluation={"cutoffs": {"cutoff": 0.25, "box_rule": "all"}},
    )
    method = new_network(made, "multilabel", 2)
    together = np.array([[1.0, 0.5], [0.25, 1.0]])
    card = describe(method, made, ["a", "b"], together, {"run": "r", "recipe": "someone else's"})
    check_card(card, method)
    assert card.cooccurrence == ((1.0, 0.5), (0.25, 1.0))
    assert (card.preprocessing.size, card.preprocessing.fit) == (32, "pad")
    assert (card.preprocessing.mean, card.preprocessing.std) == (
        method.backbone.mean, method.backbone.std,
    )  # fmt: skip
    assert (card.cutoffs.cutoff, card.cutoffs.box_rule) == (0.25, "all")
    assert card.provenance == {"run": "r", "recipe": "made"}
