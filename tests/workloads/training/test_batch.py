"""Samples become batches: what is in each row, and what is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from made_shards import made_record, made_truth

from workloads.images.view import View
from workloads.records import GroundTruth
from workloads.training.batch import Sample, collate

VIEW = View(size=4)
PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


def sample(truth: GroundTruth, view: View = VIEW, size: tuple[int, int] = (8, 16)) -> Sample:
    return Sample(PIXELS, view, made_record("a", truth, size, image=b""))


def test_labels_and_difficult_classes_stand_in_their_columns() -> None:
    truths = [
        GroundTruth(labels=(0, 2), difficult_labels=(1,)),
        GroundTruth(),
        GroundTruth(difficult_labels=(2,)),
    ]
    batch = collate([sample(truth) for truth in truths], 3)
    assert batch.labels.tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert batch.difficult.tolist() == [
        [False, True, False], [False] * 3, [False, False, True],
    ]  # fmt: skip
    assert batch.labels.dtype == torch.float32
    assert batch.images.shape == (3, 4, 4, 3)
    assert batch.images[1].tolist() == PIXELS.tolist()
    assert (batch.saliency, batch.boxes) == (None, None)


@pytest.mark.parametrize(
    ("fit", "size", "extent"),
    [("warp", (8, 16), [1, 1]), ("pad", (8, 16), [1, 0.5]), ("pad", (16, 8), [0.5, 1])],
)
def test_extents_are_the_shares_of_height_and_width(
    fit: str, size: tuple[int, int], extent: list[float]
) -> None:
    view = replace(VIEW, fit=fit)  # type: ignore[arg-type]
    assert collate([sample(GroundTruth(), view, size)], 1).extents.tolist() == [extent]


def test_boxes_are_scaled_keep_their_class_and_go_where_the_crop_left_them_out() -> None:
    truth = made_truth((2, (0, 0, 4, 8)), (1, (6, 0, 8, 16)))
    left = View(size=4, margin=4)  # 8 x 8, of which the upper left quarter is seen
    whole, cropped = (sample(truth, view).boxes for view in (VIEW, left))
    assert whole.tolist() == [[0, 0, 2, 2, 2], [3, 0, 4, 4, 1]]
    assert cropped.tolist() == [[0, 0, 4, 4, 2]]
    assert whole.dtype == torch.float32


def test_boxes_are_there_only_if_they_are_needed_and_may_be_none() -> None:
    batch = collate([sample(made_truth()), sample(made_truth((0, (0, 0, 8, 16))))], 1,
                    frozenset({"boxes"}))  # fmt: skip
    assert batch.boxes is not None
    assert [tuple(rows.shape) for rows in batch.boxes] == [(0, 5), (1, 5)]


def test_targets_hold_what_the_batch_holds_but_difficult_classes() -> None:
    saliency = np.full((4, 4), 0.5, np.float32)
    some = sample(made_truth((0, (0, 0, 8, 16))))._replace(saliency=saliency)
    batch = collate([some], 1, frozenset({"boxes"}))
    targets = batch.targets(torch.device("cpu"))
    assert targets.labels.tolist() == [[1]]
    assert targets.saliency is not None
    assert targets.saliency.tolist() == [saliency.tolist()]
    assert targets.boxes is not None
    assert targets.boxes[0].tolist() == [[0, 0, 4, 4, 0]]
    plain = batch._replace(saliency=None, boxes=None).targets(torch.device("cpu"))
    assert (plain.saliency, plain.boxes) == (None, None)
    assert not hasattr(targets, "difficult")


def test_a_label_beyond_the_classes_is_refused() -> None:
    with pytest.raises(IndexError):
        collate([sample(GroundTruth(labels=(3,)))], 3)
