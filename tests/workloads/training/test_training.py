"""The learning rate, the shares of workers, and a training that is stopped and continued."""

from __future__ import annotations

from collections.abc import Iterator
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
from workloads.methods.base import Method
from workloads.methods.registry import build_method
from workloads.shards.read import read_shards, row_groups
from workloads.shards.shards import Shards
from workloads.shards.write import finish_shards, ingest_shard
from workloads.training.augmentation import Augmentation
from workloads.training.batch import Batch
from workloads.training.epoch import learning_rate_at
from workloads.training.on_shards import TrainingData, training_on, validation_batches
from workloads.training.options import TrainOptions
from workloads.training.run import TrainingRun
from workloads.training.shard_loader import Pace, ShardLoader, Showing
from workloads.training.share import Share

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
    return ShardLoader(shards, "train", CLASSES, Showing(warp), Pace(batch, threads), share=share)


def training(shards: Path) -> TrainingRun:
    options = TrainOptions(
        epochs=3, batch_size=16, image_size=32, crop_margin=4, learning_rate=0.05, seed=3
    )
    return training_on(data(shards, 32), network(), options, torch.device("cpu"))


def network() -> Method:
    torch.manual_seed(0)
    return build_method("spn", "tiny", CLASSES, "multilabel", "tiny", {})


def data(shards: Path, size: int) -> TrainingData:
    return TrainingData(Shards.open(shards), size)


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
    first = [b.images for b in loader(shards, Share(0, 2)).batches(1)]
    again = [b.images for b in loader(shards, Share(0, 2), threads=3).batches(1)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    other = [b.images for b in loader(shards, Share(0, 2)).batches(2)]
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_worker_gets_the_same_number_of_batches(shards: Path, world: int) -> None:
    counts = {len(list(loader(shards, Share(r, world)).batches(0))) for r in range(world)}
    assert counts == {96 // (8 * world)}


@settings(max_examples=12, deadline=None)
@given(
    epoch=st.integers(0, 3), rank=st.integers(0, 1), step=st.integers(0, 6),
    threads=st.sampled_from([0, 2]),
)  # fmt: skip
def test_an_epoch_can_begin_at_any_step(
    shards: Path, epoch: int, rank: int, step: int, threads: int
) -> None:
    whole = list(loader(shards, Share(rank, 2)).batches(epoch))
    rest = list(loader(shards, Share(rank, 2), threads).batches(epoch, step))
    assert len(rest) == len(whole) - step
    for one, other in zip(whole[step:], rest, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)


@pytest.mark.parametrize("step", [-1, 13])
def test_a_step_outside_of_the_epoch_is_refused(shards: Path, step: int) -> None:
    with pytest.raises(ValueError, match=rf"from_step is {step}; give one of 0 \.\. 12"):
        loader(shards, Share()).batches(0, step)


def test_a_training_takes_any_loader(shards: Path) -> None:
    """Two fixed batches, from nowhere: the contract is all that a training knows."""

    class Fixed:
        steps, batch_size = 2, 4

        def batches(self, epoch: int, from_step: int = 0) -> Iterator[Batch]:
            for _ in range(from_step, self.steps):
                yield Batch(
                    images=torch.zeros(4, 32, 32, 3, dtype=torch.uint8),
                    labels=torch.ones(4, CLASSES),
                    difficult=torch.zeros(4, CLASSES, dtype=torch.bool),
                    extents=torch.ones(4, 2),
                )

    run = TrainingRun(
        network(), TrainOptions(epochs=2, validation_images=0), Fixed(), lambda: iter(()),
        torch.device("cpu"),
    )  # fmt: skip
    assert [metrics["epoch"] for metrics in run.epochs()] == [1, 2]


def test_one_worker_sees_every_image_once_an_epoch(shards: Path) -> None:
    labels = torch.cat([b.labels for b in loader(shards, Share()).batches(0)]).sum(0)
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
    options, method = TrainOptions(validation_images=limit, crop_margin=0), network()
    counts = [
        sum(
            len(batch.labels)
            for batch in validation_batches(
                data(shards, 16), method, options, Share(rank, world), batch_size=4
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
