"""Batches: what of an image's truth reaches a method, and in which frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from made_shards import made_record, made_truth

from workloads.images.view import View
from workloads.records import GroundTruth
from workloads.training.batch import Batch, Sample, collate

CLASSES = 5
SIDE = 32


def sample(truth: GroundTruth, view: View | None = None, **others: np.ndarray) -> Sample:
    """A black 40x30 image in a view; the whole of it, squashed, if none is given."""
    return Sample(
        np.zeros((SIDE, SIDE, 3), np.uint8),
        view or View(SIDE),
        made_record("a", truth, size=(40, 30)),
        **others,
    )


def test_labels_are_one_hot_and_difficult_ones_stand_apart() -> None:
    truths = [
        made_truth((0, (0, 0, 9, 9)), (3, (0, 0, 9, 9)), box_difficult=[False, True]),
        made_truth(),
        made_truth((4, (0, 0, 9, 9)), (4, (1, 1, 5, 5)), box_difficult=[True, False]),
    ]
    batch = collate([sample(truth) for truth in truths], CLASSES)
    assert batch.labels.tolist() == [[1, 0, 0, 0, 0], [0] * 5, [0, 0, 0, 0, 1]]
    assert batch.difficult.nonzero().tolist() == [[0, 3]]
    assert (batch.labels.dtype, batch.difficult.dtype) == (torch.float32, torch.bool)


def test_images_are_stacked_as_they_are() -> None:
    samples = [
        sample(made_truth())._replace(pixels=np.full((SIDE, SIDE, 3), value, np.uint8))
        for value in (0, 7, 255)
    ]
    batch = collate(samples, CLASSES)
    assert batch.images.shape == (3, SIDE, SIDE, 3)
    assert batch.images.dtype == torch.uint8
    assert batch.images[:, 0, 0, 0].tolist() == [0, 7, 255]


def test_what_no_method_asks_for_is_not_there() -> None:
    batch = collate([sample(made_truth((0, (0, 0, 9, 9))))], CLASSES)
    assert batch.saliency is None
    assert batch.boxes is None


def test_boxes_are_in_the_frame_of_the_input_with_their_class() -> None:
    """40x30 squashed to 32x32: x times .8, y times 32/30."""
    truth = made_truth((3, (10, 15, 20, 30)), (1, (0, 0, 40, 30)))
    (boxes,) = collate([sample(truth)], CLASSES, frozenset({"boxes"})).boxes or ()
    assert boxes.dtype == torch.float32
    torch.testing.assert_close(
        boxes, torch.tensor([[8.0, 16, 16, 32, 3], [0, 0, 32, 32, 1]]), atol=1e-4, rtol=0
    )


def test_boxes_that_the_crop_left_out_are_gone() -> None:
    """The square of 64 pixels is cropped to its lower right quarter."""
    crop = View(SIDE, margin=32, top=32, left=32)
    truth = made_truth((0, (0, 0, 19, 14)), (1, (15, 10, 25, 20)), (2, (0, 0, 20, 15)))
    (boxes,) = collate([sample(truth, crop)], CLASSES, frozenset({"boxes"})).boxes or ()
    assert boxes[:, 4].tolist() == [1.0]
    torch.testing.assert_close(
        boxes[0, :4], torch.tensor([0.0, 0, 8, 64 * 20 / 30 - 32]), atol=1e-4, rtol=0
    )


def test_an_image_without_boxes_has_an_empty_list_in_its_place() -> None:
    samples = [sample(made_truth()), sample(made_truth((2, (0, 0, 40, 30))))]
    first, second = collate(samples, CLASSES, frozenset({"boxes"})).boxes or ()
    assert first.shape == (0, 5)
    assert second.shape == (1, 5)


@pytest.mark.parametrize(
    ("size", "extent"), [((40, 30), (0.75, 1.0)), ((30, 40), (1.0, 0.75)), ((20, 20), (1.0, 1.0))]
)
def test_extent_is_the_share_of_a_padded_input_that_is_image(
    size: tuple[int, int], extent: tuple[float, float]
) -> None:
    record = made_record("a", made_truth(), size=size)
    padded = Sample(np.zeros((SIDE, SIDE, 3), np.uint8), View(SIDE, fit="pad"), record)
    assert collate([padded], CLASSES).extents.tolist() == [list(extent)]
    assert collate([padded._replace(view=View(SIDE))], CLASSES).extents.tolist() == [[1.0, 1.0]]


def test_saliency_is_stacked_beside_the_images() -> None:
    maps = [np.full((SIDE, SIDE), value, np.float32) for value in (0.25, 1.0)]
    batch = collate([sample(made_truth(), saliency=one) for one in maps], CLASSES)
    assert batch.saliency is not None
    assert batch.saliency[:, 3, 3].tolist() == [0.25, 1.0]


def test_targets_hold_no_more_than_a_method_may_see() -> None:
    """Difficult classes are for the loss of the training, not for the method."""
    batch = collate([sample(made_truth((0, (0, 0, 9, 9))))], CLASSES, frozenset({"boxes"}))
    targets = batch.targets(torch.device("cpu"))
    assert torch.equal(targets.labels, batch.labels)
    assert targets.extents is not None
    assert torch.equal(targets.extents, batch.extents)
    assert targets.saliency is None
    assert targets.boxes is not None
    assert torch.equal(targets.boxes[0], (batch.boxes or ())[0])
    assert not hasattr(targets, "difficult")


def test_targets_move_with_the_device() -> None:
    batch = Batch(
        torch.zeros(1, 2, 2, 3, dtype=torch.uint8),
        torch.zeros(1, CLASSES),
        torch.zeros(1, CLASSES, dtype=torch.bool),
        torch.ones(1, 2),
        torch.zeros(1, 2, 2),
        (torch.zeros(0, 5),),
    )
    moved = batch.targets(torch.device("meta"))
    tensors = [moved.labels, moved.extents, moved.saliency, *(moved.boxes or ())]
    assert all(t is not None and t.device.type == "meta" for t in tensors)
    assert len(tensors) == 4
