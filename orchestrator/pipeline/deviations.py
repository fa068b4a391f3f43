"""Deviations of a reproduction from the protocol of the paper whose number it stands beside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.config.settings import Data
from orchestrator.train.initial import BACKBONE, RANDOM
from workloads.recipes.describe import chooses_on_reported
from workloads.recipes.schema import Recipe, Splits

Deviation = tuple[str, str]
"""The subject, and in words what was done in place of what."""


def deviations(
    asked: Recipe, done: Recipe, data: Data, initial: Mapping[str, str]
) -> dict[str, str]:
    """Subject to what was done, as far as it is not the paper's protocol.

    First what the recipe itself says, then what follows from how it was run.

    Args:
        asked: the recipe as it is written.
        done: as it was run, which is a miniature of it or the same.
        data: where the images came from (None: made for this), and the splits that were used.
        initial: weights that were given, by the part that starts from them.
    """
    return dict([*asked.deviations.items(), *_of_data(done, data), *_of_run(asked, done, initial)])


def _of_data(done: Recipe, data: Data) -> Iterator[Deviation]:
    if data.root is None:
        yield "images", f"digits made in the layout of {done.dataset}"
    used = Splits(train=data.train_split, val=data.val_split, test=data.test_split)
    for part, name in done.splits.model_dump().items():
        if (chosen := getattr(used, part)) != name:
            yield f"{part} split", f"{chosen} for {name}"
    if chooses_on_reported(done.model_copy(update={"splits": used})):
        yield "cut-off", f"chosen on the reported split, {used.test}"


def _of_run(asked: Recipe, done: Recipe, initial: Mapping[str, str]) -> Iterator[Deviation]:
    pairs = {
        "network": (done.backbone, asked.backbone),
        "preset": (done.preset, asked.preset),
        "epochs": (done.train.epochs, asked.train.epochs),
    }
    for subject, (used, wanted) in pairs.items():
        if used != wanted:
            yield subject, f"{used} for {wanted}"
    named = {**asked.parts, BACKBONE: asked.initial}
    here = {**done.parts, BACKBONE: done.initial, **initial}
    for part, source in here.items():
        used, wanted = source or RANDOM, named.get(part) or RANDOM
        if used != wanted:
            yield f"start weights of {part}", f"{used} for {wanted}"
