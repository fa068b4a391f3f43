"""From all that a model may see in an image to what was asked for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orchestrator.serve.api.host import Answer, Ask
from orchestrator.serve.hosting.offers import Offer
from workloads.annotation.found import FoundImage
from workloads.annotation.options import Kept
from workloads.annotation.selection import Selection
from workloads.errors import ConfigError
from workloads.localization.candidates import Candidates
from workloads.localization.cutoffs import Cutoffs

MOST_CLASSES = 50
"""Classes below the model's own threshold whose maps are made for one request at most."""


class Wanted(NamedTuple):
    """The candidates that an answer needs, as `Localizer.candidates` takes them."""

    floor: float
    most: int
    keep_maps: bool


def wanted_of(ask: Ask) -> Wanted:
    """The candidates that an answer needs."""
    maps = ask.maps or ask.overlay or ask.cutoff is not None
    if ask.min_score is not None:
        return Wanted(ask.min_score, MOST_CLASSES, maps)
    kept = Kept()
    return Wanted(kept.min_score, kept.classes_per_image if ask.maps else 0, maps)


def selection_of(offer: Offer, cutoffs: Cutoffs, ask: Ask) -> Selection:
    """The choice of boxes, as `wsol export` makes it from a store.

    Raises:
        ConfigError: an unknown class, or a cut-off that is none or cannot be chosen.
    """
    if ask.cutoff is not None and cutoffs.box_rule == "regions":
        raise ConfigError(
            "cutoff: this model's boxes are those of object proposals, which are found at its own "
            "cut-off alone; leave it out"
        )
    return Selection.of(
        cutoffs, offer.classes, min_score=ask.min_score, cutoff=ask.cutoff, names=ask.classes
    )


def answer_of(
    offer: Offer,
    cutoffs: Cutoffs,
    ask: Ask,
    found: Candidates,
    orientation: int,
    picture: NDArray[np.uint8] | None,
) -> Answer:
    """The answer for an image.

    Args:
        cutoffs: the model's.
        found: what `wanted_of` asks for.
        picture: (h, w, 3) uint8 of the image for an overlay, of any size.
    """
    selection = selection_of(offer, cutoffs, ask)
    image = selection.apply(FoundImage(1, "", orientation, found))
    detections = image.detections
    if ask.max_detections is not None:
        detections = detections.take(np.arange(len(detections)) < ask.max_detections)
    overlay = None
    if ask.overlay and picture is not None:
        from orchestrator.serve.hosting.overlay import draw

        overlay = draw(picture, detections, image.candidates, offer.classes)
    return Answer(
        model=offer.info,
        orientation=orientation,
        detections=detections,
        present=_without_maps(image.candidates),
        cutoffs=selection.recut or cutoffs,
        candidates=found if ask.maps else None,
        overlay=overlay,
    )


def _without_maps(candidates: Candidates) -> Candidates:
    return Candidates(
        candidates.labels, candidates.scores, candidates.points_xy, candidates.detections
    )
