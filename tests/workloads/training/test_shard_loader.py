"""Batches of shards: every image once, from any place of an epoch, for any number of workers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from workloads.errors import ConfigError, InputRejected, IntegrityError
from workloads.shards.read import read_shards
from workloads.training.augmentation import Augmentation
from workloads.training.batch import Batch
from workloads.training.order import Stretch
from workloads.training.shard_loader import ShardLoader
from workloads.training.shard_source import Pace, ShardSource
from workloads.training.share import Share
from workloads.training.showing import Showing

CLASSES = 10


@pytest.fixture(scope="module")
def shards(digit_shards: Path) -> Path:
    return digit_shards


def loader(shards: Path, share: Share, threads: int = 0, batch: int = 16) -> ShardLoader:
    warp = Augmentation(32, margin=4, flip=True)
    source = ShardSource(shards, "train", CLASSES, Showing(warp))
    return ShardLoader(source, Pace(batch, threads=threads), share)


def ids(batches: Iterable[Batch]) -> list[str]:
    return [name for batch in batches for name in batch.image_ids]


def test_batches_are_a_function_of_seed_and_epoch(shards: Path) -> None:
    first = [b.images for b in loader(shards, Share(0, 2)).batches(1)]
    again = [b.images for b in loader(shards, Share(0, 2), threads=3).batches(1)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    other = [b.images for b in loader(shards, Share(0, 2)).batches(2)]
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("world", [1, 2, 3])
def test_an_epoch_shows_every_image_once(shards: Path, world: int) -> None:
    loaders = [loader(shards, Share(rank, world)) for rank in range(world)]
    parts = [list(one.batches(0)) for one in loaders]
    assert {len(batches) for batches in parts} == {96 // 16}
    everything = [record.image_id for record in read_shards(shards, "train")]
    assert sorted(name for part in parts for name in ids(part)) == sorted(everything)


@settings(max_examples=12, deadline=None)
@given(
    epoch=st.integers(0, 3), rank=st.integers(0, 1), step=st.integers(0, 6),
    threads=st.sampled_from([0, 2]),
)  # fmt: skip
def test_an_epoch_can_begin_at_any_step(
    shards: Path, epoch: int, rank: int, step: int, threads: int
) -> None:
    whole = list(loader(shards, Share(rank, 2)).batches(epoch))
    rest = list(loader(shards, Share(rank, 2), threads).batches(epoch, [Stretch(step, 2, 16)]))
    assert len(rest) == len(whole) - step
    for one, other in zip(whole[step:], rest, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)


@settings(max_examples=12, deadline=None)
@given(step=st.integers(0, 6), before=st.integers(1, 3), after=st.integers(1, 3))
def test_other_workers_show_what_is_left(shards: Path, step: int, before: int, after: int) -> None:
    parts = [list(loader(shards, Share(r, before)).batches(0))[:step] for r in range(before)]
    past = [Stretch(step, before, 16)]
    parts += [list(loader(shards, Share(r, after)).batches(0, past)) for r in range(after)]
    everything = [record.image_id for record in read_shards(shards, "train")]
    assert sorted(name for part in parts for name in ids(part)) == sorted(everything)


def test_an_image_looks_the_same_whoever_shows_it(shards: Path) -> None:
    def seen(world: int) -> dict[str, Tensor]:
        batches = [b for r in range(world) for b in loader(shards, Share(r, world)).batches(3)]
        return {n: image for b in batches for n, image in zip(b.image_ids, b.images, strict=True)}

    alone, together = seen(1), seen(3)
    assert all(torch.equal(image, together[name]) for name, image in alone.items())


def test_each_image_of_a_batch_weighs_the_same(shards: Path) -> None:
    """16 images over three workers are 6, 5 and 5 of them: weights are shares times three."""
    sizes = [6, 5, 5]
    for rank, size in enumerate(sizes):
        batch = next(loader(shards, Share(rank, 3)).batches(0))
        assert len(batch.labels) == batch.counted == size
        assert batch.weight == pytest.approx(size * 3 / 16)


def test_a_worker_without_an_image_of_the_last_batch_takes_one_that_does_not_count(
    shards: Path,
) -> None:
    """96 images in batches of 19: the last has one."""
    source = ShardSource(shards, "train", CLASSES, Showing(Augmentation(8)))
    made = [ShardLoader(source, Pace(19, "short"), Share(rank, 2)) for rank in (0, 1)]
    ends = [list(one.batches(0))[-1] for one in made]
    assert [(batch.counted, batch.weight) for batch in ends] == [(1, 2.0), (0, 0.0)]
    assert [len(batch.labels) for batch in ends] == [1, 1]


def test_too_few_images_are_said_before_training(shards: Path) -> None:
    with pytest.raises(ConfigError, match="96 images, fewer than one batch of 128"):
        loader(shards, Share(0, 2), batch=128)
    with pytest.raises(ConfigError, match=r"batch_size is 2 for 3 workers, at least one image"):
        loader(shards, Share(0, 3), batch=2)


def test_an_image_that_is_none_any_more_is_named(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rotten(*_: object) -> None:
        raise InputRejected("cannot decode the image: truncated; replace the file")

    monkeypatch.setattr("workloads.training.showing.decode", rotten)
    with pytest.raises(IntegrityError, match=r"image '.+' of the shards: cannot decode the image"):
        next(loader(shards, Share(), threads=2).batches(0))
