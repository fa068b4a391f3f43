"""The learning rate, the shares of workers, and a training that is stopped and continued."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.datasets.digit_options import DigitsOptions
from workloads.datasets.digits import make_digits
from workloads.datasets.registry import open_dataset
from workloads.errors import ConfigError
from workloads.images.decode import ImageLimits
from workloads.images.view import View
from workloads.methods.registry import build_method
from workloads.shards.read import read_shards, row_groups
from workloads.shards.write import finish_shards, ingest_shard
from workloads.training.augmentation import Augmentation
from workloads.training.epoch import learning_rate_at
from workloads.training.options import TrainOptions
from workloads.training.run import TrainingRun
from workloads.training.shard_loader import ShardLoader, Share, validation_batches

CLASSES = 10
LIMITS = ImageLimits()


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("digits") / "tree"
    make_digits(root, DigitsOptions(train=96, val=24, test=8), None)
    dataset = open_dataset("digits", root)
    out = tmp_path_factory.mktemp("shards")
    results = [
        ingest_shard(dataset, dataset.items(split), out / f"{split}-00000.parquet", LIMITS)
        for split in dataset.splits()
    ]
    finish_shards(out, dataset, {s: len(dataset.items(s)) for s in dataset.splits()}, results)
    return out


def loader(shards: Path, share: Share, threads: int = 0, batch: int = 8) -> ShardLoader:
    warp = Augmentation(32, margin=4, flip=True)
    return ShardLoader(shards, "train", CLASSES, warp, batch, share, 0, LIMITS, threads)


def training(shards: Path) -> TrainingRun:
    options = TrainOptions(
        epochs=3, batch_size=16, image_size=32, crop_margin=4, learning_rate=0.05, seed=3
    )
    torch.manual_seed(0)
    method = build_method("spn", "tiny", CLASSES, "multilabel", "tiny", {})
    return TrainingRun(
        method, options, shards, "train", "val", 32, Share(), LIMITS, torch.device("cpu")
    )


def test_steps_and_cosine_follow_their_formulas() -> None:
    step = TrainOptions(epochs=20, learning_rate=1.0, step_epochs=(10, 15), decay=0.1)
    assert [learning_rate_at(e, step) for e in (0, 9.9, 10, 15)] == pytest.approx([1, 1, 0.1, 0.01])
    cosine = TrainOptions(epochs=10, learning_rate=1.0, schedule="cosine")
    assert learning_rate_at(0, cosine) == 1.0
    assert learning_rate_at(5, cosine) == pytest.approx(0.5)
    assert learning_rate_at(10, cosine) == pytest.approx(0.0)


@given(epoch=st.floats(0, 30), warmup=st.floats(0, 5))
def test_the_learning_rate_stays_in_bounds(epoch: float, warmup: float) -> None:
    options = TrainOptions(epochs=30, learning_rate=0.5, schedule="cosine", warmup_epochs=warmup)
    assert 0 <= learning_rate_at(epoch, options) <= 0.5


def test_the_order_is_a_function_of_seed_epoch_and_rank(shards: Path) -> None:
    first = [b.images for b in loader(shards, Share(0, 2)).epoch(1)]
    again = [b.images for b in loader(shards, Share(0, 2), threads=3).epoch(1)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    other = [b.images for b in loader(shards, Share(0, 2)).epoch(2)]
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_worker_gets_the_same_number_of_batches(shards: Path, world: int) -> None:
    counts = {len(list(loader(shards, Share(r, world)).epoch(0))) for r in range(world)}
    assert counts == {96 // (8 * world)}


def test_one_worker_sees_every_image_once_an_epoch(shards: Path) -> None:
    labels = torch.cat([b.labels for b in loader(shards, Share()).epoch(0)]).sum(0)
    expected = np.zeros(CLASSES)
    for record in read_shards(shards, "train"):
        expected[list(record.truth.labels)] += 1
    assert labels.tolist() == expected.tolist()


def test_too_few_images_are_said_before_training(shards: Path) -> None:
    with pytest.raises(ConfigError, match=r"96 images, fewer than one batch of 2 workers x 64"):
        loader(shards, Share(0, 2), batch=64)


@settings(max_examples=8, deadline=None)
@given(world=st.integers(1, 5), limit=st.integers(1, 30))
def test_validation_is_shared_out_without_loss(shards: Path, world: int, limit: int) -> None:
    counts = [
        sum(
            len(batch.labels)
            for batch in validation_batches(
                shards, "val", CLASSES, View(16), limit, Share(rank, world), LIMITS
            )
        )
        for rank in range(world)
    ]
    assert sum(counts) == min(limit, sum(g.rows for g in row_groups(shards, "val")))
    assert max(counts) - min(counts) <= 1


def test_a_stopped_training_continues_bit_for_bit(shards: Path, tmp_path: Path) -> None:
    whole = training(shards)
    expected = list(whole.epochs())

    stopped = training(shards)
    first = next(stopped.epochs())
    stopped.save(tmp_path / "checkpoint")
    continued = training(shards)
    continued.restore(tmp_path / "checkpoint")
    rest = list(continued.epochs())

    for one, other in zip(expected, [first, *rest], strict=True):
        same = {k: v for k, v in one.items() if k != "images_per_s"}
        assert same == {k: v for k, v in other.items() if k != "images_per_s"}
    for name, tensor in whole.method.state_dict().items():
        assert torch.equal(tensor, continued.method.state_dict()[name]), name


def test_training_lowers_the_loss_and_writes_progress(shards: Path, tmp_path: Path) -> None:
    curve = list(training(shards).epochs(tmp_path / "progress.json"))
    assert curve[-1]["loss"] < curve[0]["loss"]
    assert 0 <= curve[-1]["val_classification_map"] <= 1
    assert (tmp_path / "progress.json").read_text() == '{"done": 288, "total": 288}'
