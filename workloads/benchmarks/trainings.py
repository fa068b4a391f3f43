"""Trainings to measure: a recipe each, and what makes it short."""

from __future__ import annotations

from typing import Any, NamedTuple


class Training(NamedTuple):
    """A recipe with changes of its options, and images of the digits to train on."""

    recipe: str
    changes: dict[str, Any]
    images: int


# As a plain script has them.
_PLAIN = {"validation_images": 0, "optimizer": "sgd", "precision": "float32"}
SMALL = Training("digits-cam-tiny", {**_PLAIN, "epochs": 3, "learning_rate": 0.05}, 2048)
LARGE = Training("spn-t2-vgg16", {**_PLAIN, "epochs": 2, "batch_size": 8, "image_size": 112}, 128)
TRAININGS = {"tiny": SMALL, "sp-vgg16": LARGE}
