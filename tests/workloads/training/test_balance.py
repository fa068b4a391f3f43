"""Images of rare classes are repeated, so that an epoch shows all classes about equally often."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_shards import made_record, write_shards

from workloads.errors import ConfigError, NotFound
from workloads.methods.registry import build_method
from workloads.records import GroundTruth
from workloads.shards.shards import Shards
from workloads.training.augmentation import Augmentation
from workloads.training.balance import Balance
from workloads.training.cadence import Cadence
from workloads.training.checkpoint_folder import CheckpointFolder
from workloads.training.on_shards import TrainingData, training_on
from workloads.training.options import TrainOptions
from workloads.training.run import Position, TrainingRun
from workloads.training.shard_loader import ShardLoader
from workloads.training.shard_source import Pace, ShardSource
from workloads.training.share import Share
from workloads.training.showing import Showing

CPU = torch.device("cpu")
# 12 images of class 0, 5 of class 1 (one beside class 0), 2 of class 2, one with nothing. Where a
# class has only difficult objects, it does not count.
LABELS = [(0,)] * 11 + [(0, 1)] + [(1,)] * 4 + [(2,)] * 2 + [()]
FACTORS = [1, 12 / 5, 6]
SHOWN = 11 + 5 * 12 / 5 + 2 * 6 + 1


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each image has a colour of its own (its width), so that it is known again."""
    records = [
        made_record(f"image {i}", GroundTruth(labels, difficult_labels=(2,)), (20 + i, 20), split)
        for split in ("train", "val")
        for i, labels in enumerate(LABELS)
    ]
    folder = tmp_path_factory.mktemp("made") / "shards"
    return write_shards(folder, records, ("a", "b", "c"), rows_per_file=10, rows_per_group=4)


def loader(
    shards: Path, share: Share | None = None, threads: int = 0, **changes: Any
) -> ShardLoader:
    """Balanced, with batches of one image for each worker."""
    share = share or Share()
    balance = Balance.of_split(shards, "train", 3, limit=10)
    source = ShardSource(shards, "train", 3, Showing(Augmentation(8, **changes)), balance=balance)
    return ShardLoader(source, Pace(share.world, threads=threads), share)


def shown(loader: ShardLoader, epoch: int) -> Counter[int]:
    """How often an epoch shows each image."""
    widths = [int(batch.images[0, 0, 0, 0]) for batch in loader.batches(epoch)]
    return Counter(width - 20 for width in widths)


def test_factors_are_those_of_the_largest_class(shards: Path) -> None:
    balance = Balance.of_split(shards, "train", 3, limit=10)
    np.testing.assert_allclose(balance.factors, FACTORS)
    assert balance.of_rows.sum() == pytest.approx(SHOWN)
    assert balance.images == int(SHOWN)
    limited = Balance.of_split(shards, "train", 4, limit=4)  # nothing has the fourth class
    np.testing.assert_allclose(limited.factors, [1, 12 / 5, 4, 4])
    assert limited.images == int(SHOWN - 2 * 2)
    with pytest.raises(NotFound, match="unknown split 'trian'"):
        Balance.of_split(shards, "trian", 3, limit=4)


@given(
    factors=st.lists(st.floats(1, 20), min_size=1, max_size=30),
    seed=st.integers(0, 9),
    epoch=st.integers(0, 99),
)
def test_a_factor_becomes_one_of_the_whole_numbers_around_it(
    factors: list[float], seed: int, epoch: int
) -> None:
    balance = Balance(np.array([1.0]), np.array(factors))
    times = balance.times(seed, epoch)
    for factor, count in zip(factors, times.tolist(), strict=True):
        assert int(factor + 1e-9) <= count <= math.ceil(factor - 1e-9)
    assert balance.images <= times.sum() <= balance.images + 1
    assert times.tolist() == balance.times(seed, epoch).tolist()


def test_the_mean_over_epochs_is_the_factor() -> None:
    balance = Balance(np.array([1.0]), np.array([2.25, 1.0, 1.6]))
    means = np.mean([balance.times(0, epoch) for epoch in range(4000)], axis=0)
    assert means == pytest.approx([2.25, 1, 1.6], abs=0.035)  # four standard deviations


def test_an_epoch_shows_images_as_often_as_the_balance_says(shards: Path) -> None:
    whole = loader(shards)
    assert whole.plan().steps == int(SHOWN)
    totals: Counter[int] = Counter()
    for epoch in range(30):
        totals += shown(whole, epoch)
    means = [totals[i] / 30 for i in range(len(LABELS))]
    assert means[:11] == pytest.approx([1] * 11, abs=0.35)
    assert means[11:16] == pytest.approx([12 / 5] * 5, abs=0.5)
    assert means[16:18] == pytest.approx([6] * 2, abs=0.7)
    assert means[18] == pytest.approx(1, abs=0.35)
    classes = [sum(totals[i] for i, labels in enumerate(LABELS) if k in labels) for k in range(3)]
    assert max(classes) / min(classes) < 1.25  # 6 without balance


@settings(max_examples=6, deadline=None)
@given(world=st.integers(1, 4))
def test_every_worker_has_the_same_number_of_steps(shards: Path, world: int) -> None:
    loaders = [loader(shards, Share(rank, world)) for rank in range(world)]
    assert {len(list(one.batches(1))) for one in loaders} == {int(SHOWN) // world}


def test_the_order_is_a_function_of_seed_and_epoch(shards: Path) -> None:
    views = {"margin": 4, "flip": True, "noise": 5.0, "rotation_deg": 30.0}
    first = [b.images for b in loader(shards, Share(1, 2), **views).batches(4)]
    again = [b.images for b in loader(shards, Share(1, 2), threads=3, **views).batches(4)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    other = [b.images for b in loader(shards, Share(1, 2), **views).batches(5)]
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def noisy(loader: ShardLoader) -> list[bool]:
    """Whether the images of an epoch, of one colour each, have more than that."""
    return [bool(batch.images[0, :, :, 0].float().std() > 0) for batch in loader.batches(0)]


def test_only_repeats_are_changed(shards: Path) -> None:
    different = len(shown(loader(shards), 0))
    changed = noisy(loader(shards, noise=20.0))
    assert any(changed)
    assert different == changed.count(False)


def test_without_balance_nothing_changes(shards: Path) -> None:
    plain = ShardLoader(
        ShardSource(shards, "train", 3, Showing(Augmentation(8, noise=9.0))), Pace(1)
    )
    assert noisy(plain) == [False] * len(LABELS)


def training(shards: Path, kept: Path | None = None) -> TrainingRun:
    options = TrainOptions(
        epochs=2, batch_size=4, image_size=16, crop_margin=2, seed=3, validation_images=4,
        balance=True, noise=4, rotation_deg=30,
    )  # fmt: skip
    torch.manual_seed(0)
    method = build_method("bency", "tiny", 3, "multilabel", "tiny")
    folder = None if kept is None else CheckpointFolder(kept, Cadence(steps=1))
    data = TrainingData(Shards.open(shards), 16)
    return training_on(data, method, options, CPU, checkpoints=folder)


def test_a_balanced_training_continues_bit_for_bit(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workloads.backbones.tiny.Tiny.hidden_channels", 16)
    whole = training(shards)
    assert whole.loader.plan().steps == int(SHOWN) // 4
    augmentation = whole.loader.source.showing.augmentation
    assert (augmentation.noise, augmentation.rotation_deg) == (4, 30)
    list(whole.epochs())

    class Killed(BaseException):
        pass

    def killed(position: Position) -> None:
        if position.step == 3:
            raise Killed

    with pytest.raises(Killed):
        list(training(shards, tmp_path / "checkpoints").epochs(killed))
    continued = training(shards, tmp_path / "checkpoints")
    assert continued.resume()
    list(continued.epochs())
    for name, tensor in whole.method.state_dict().items():
        assert torch.equal(tensor, continued.method.state_dict()[name]), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": 5}, r"noise: .*set balance to true, or this to 0; given 5"),
        ({"rotation_deg": 30}, r"rotation_deg: .*set balance to true, or this to 0; given 30"),
        (
            {"balance": True, "fit": "pad", "rotation_deg": 30},
            r"rotation_deg: .*set fit to warp, or this to 0; given 30",
        ),
        ({"balance": True, "balance_limit": 0.5}, r"balance_limit: .*equal to 1; given 0\.5"),
    ],
)
def test_mistakes_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainOptions.parse(options, "train")


def test_boxes_are_not_turned() -> None:
    with pytest.raises(ConfigError, match=r"boxes, which cannot be turned: set train\.rotation"):
        Showing(Augmentation(8, rotation_deg=5.0), needs=frozenset({"boxes"}))
