"""An epoch that starts at a step has exactly the batches that the whole epoch has from there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_shards import made_record, write_shards

from workloads.records import GroundTruth
from workloads.training.augmentation import Augmentation
from workloads.training.balance import Balance
from workloads.training.loader import Loader
from workloads.training.shard_loader import Pace, ShardLoader, Showing
from workloads.training.share import Share

IMAGES = 24


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every third image has the rarer class; sizes, and so colours, differ."""
    records = [
        made_record(f"image {i}", GroundTruth((int(i % 3 == 0),)), (20 + i, 20))
        for i in range(IMAGES)
    ]
    folder = tmp_path_factory.mktemp("made") / "shards"
    return write_shards(folder, records, ("a", "b"), rows_per_file=10, rows_per_group=4)


def loader(shards: Path, world: int, threads: int, balanced: bool) -> Loader:
    views = Augmentation(8, margin=4, flip=True, noise=9.0 if balanced else 0.0)
    balance = Balance.of_split(shards, "train", 2, limit=10) if balanced else None
    return ShardLoader(
        shards, "train", 2, Showing(views), Pace(3, threads, pool_rows=7),
        share=Share(world - 1, world), balance=balance,
    )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    world=st.integers(1, 3),
    threads=st.sampled_from([0, 2]),
    balanced=st.booleans(),
    epoch=st.integers(0, 5),
    at=st.floats(0, 1),
)
def test_an_epoch_from_a_step_on_is_the_rest_of_the_epoch(
    shards: Path, world: int, threads: int, balanced: bool, epoch: int, at: float
) -> None:
    made = loader(shards, world, threads, balanced)
    step = round(at * made.steps)
    whole = list(made.batches(epoch))
    rest = list(loader(shards, world, 0, balanced).batches(epoch, step))
    assert len(whole) == made.steps
    for one, other in zip(whole[step:], rest, strict=True):
        assert len(one.images) == made.batch_size
        for name in ("images", "labels", "difficult", "extents"):
            assert torch.equal(getattr(one, name), getattr(other, name)), name


@pytest.mark.parametrize("step", [-1, 9])
def test_a_step_beyond_the_epoch_is_refused(shards: Path, step: int) -> None:
    with pytest.raises(ValueError, match=rf"from_step is {step}; give one of 0 \.\. 8"):
        loader(shards, 1, 0, balanced=False).batches(0, step)
