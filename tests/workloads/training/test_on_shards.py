"""What a training on shards is validated on: the first images, in order, shared out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from made_shards import made_record, made_truth, write_shards

from workloads.errors import ConfigError, NotFound
from workloads.methods.registry import build_method
from workloads.shards.shards import Shards
from workloads.training.on_shards import TrainingData, training_on, validation_batches
from workloads.training.options import TrainOptions
from workloads.training.share import Share

METHOD = build_method("cam", "tiny", 7, "multilabel")


@pytest.fixture
def data(tmp_path: Path) -> TrainingData:
    """Seven images, each of a class of its own, so that labels tell them apart."""
    records = [
        made_record(str(i), made_truth((i, (0, 0, 9, 9))), split=split)
        for split in ("train", "val")
        for i in range(7)
    ]
    folder = write_shards(tmp_path / "s", records, "abcdefg", rows_per_file=4, rows_per_group=3)
    return TrainingData(Shards.open(folder), 32)


def seen(data: TrainingData, limit: int, share: Share, batch_size: int = 64) -> list[list[int]]:
    options = TrainOptions(validation_images=limit, flip=True, crop_margin=8)
    batches = validation_batches(data, METHOD, options, share, batch_size)
    return [batch.labels.argmax(dim=1).tolist() for batch in batches]


@pytest.mark.parametrize(
    ("limit", "batch_size", "expected"),
    [
        (7, 3, [[0, 1, 2], [3, 4, 5], [6]]),
        (6, 3, [[0, 1, 2], [3, 4, 5]]),
        (4, 9, [[0, 1, 2, 3]]),
        (99, 7, [[0, 1, 2, 3, 4, 5, 6]]),
        (0, 3, []),
    ],
)
def test_the_first_images_in_order_and_no_empty_batch(
    data: TrainingData, limit: int, batch_size: int, expected: list[list[int]]
) -> None:
    assert seen(data, limit, Share(), batch_size) == expected


def test_workers_take_turns_within_the_limit(data: TrainingData) -> None:
    parts = [seen(data, 5, Share(rank, 3)) for rank in range(3)]
    assert parts == [[[0, 3]], [[1, 4]], [[2]]]


def test_validation_shows_the_same_pixels_each_time(data: TrainingData) -> None:
    options = TrainOptions(flip=True, crop_margin=8)
    one, other = (next(validation_batches(data, METHOD, options, Share())) for _ in range(2))
    assert torch.equal(one.images, other.images)
    assert one.images.shape == (7, 32, 32, 3)


def test_what_cannot_be_trained_on_is_said_first(data: TrainingData) -> None:
    with pytest.raises(ConfigError, match=r"has 7 images, fewer than one batch of 8; add"):
        training_on(data, METHOD, TrainOptions(batch_size=8), torch.device("cpu"))
    other = TrainingData(data.shards, 32, train="trian")
    with pytest.raises(NotFound, match="unknown split 'trian'; did you mean 'train'"):
        training_on(other, METHOD, TrainOptions(batch_size=2), torch.device("cpu"))
