"""Run a localizer on shard records, with results ready to be stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from workloads.images.decode import ImageLimits, decode
from workloads.models.localizer import Localizer
from workloads.models.ranking import Ranker, predict_ranked
from workloads.predictions.store import Prediction, classes_to_store
from workloads.records import Record
from workloads.shards.shards import Shards

STORED_MAPS = 10


def predict(
    localizer: Localizer,
    shards: Shards,
    split: str,
    *,
    top: int = STORED_MAPS,
    limits: ImageLimits | None = None,
) -> Iterator[Prediction]:
    """Scores and maps of a split, in order, a row group at a time.

    Args:
        top: as in `predict_records`.

    Raises:
        NotFound: no such split.
    """
    for group in shards.row_groups(split):
        yield from predict_records(localizer, group.read(), limits or ImageLimits(), top)


def predict_records(
    localizer: Localizer,
    records: Sequence[Record],
    limits: ImageLimits,
    top: int,
    ranker: Ranker | None = None,
) -> list[Prediction]:
    """Scores and maps beside the ground truth, in the order of the records.

    Args:
        top: maps kept of the best scored classes, beside those of the true ones.
        ranker: whose scores take the place of the localizer's.

    Raises:
        InputRejected: an image cannot be decoded.
    """

    def stored(row: int, scores: NDArray[np.float32]) -> list[int]:
        labels: list[int] = classes_to_store(records[row].truth, scores, top).tolist()
        return labels

    images = [decode(record.image, limits) for record in records]
    if ranker is None:
        responses = localizer.predict(images, stored)
    else:
        responses = predict_ranked(localizer, ranker, images, stored)
    return [
        Prediction(
            image_id=record.image_id,
            split=record.split,
            width=record.width,
            height=record.height,
            truth=record.truth,
            scores=response.scores,
            map_labels=response.labels,
            scales=response.scales,
            proposal=response.proposal,
            regions_xyxy=response.regions_xyxy,
        )
        for record, response in zip(records, responses, strict=True)
    ]
