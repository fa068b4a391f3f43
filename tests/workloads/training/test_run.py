"""A training that is stopped anywhere and continued; what it says of itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.errors import WsolError
from workloads.methods.base import Method
from workloads.methods.registry import build_method
from workloads.shards.read import row_groups
from workloads.shards.shards import Shards
from workloads.training.batch import Batch
from workloads.training.cadence import Cadence
from workloads.training.checkpoint_folder import CheckpointFolder
from workloads.training.meter import TIMINGS
from workloads.training.on_shards import TrainingData, training_on, validation_batches
from workloads.training.options import TrainOptions
from workloads.training.order import BatchPlan, Stretch
from workloads.training.run import Position, TrainingRun
from workloads.training.share import Share

CLASSES, CPU = 10, torch.device("cpu")
OPTIONS = TrainOptions(
    epochs=2, batch_size=24, image_size=16, crop_margin=2, learning_rate=0.05, seed=3,
    validation_images=8,
)  # fmt: skip
STEPS = 96 // 24


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the training runs after it."""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workloads.backbones.tiny.Tiny.hidden_channels", 16)


def network(method: str = "cam") -> Method:
    torch.manual_seed(0)
    return build_method(method, "tiny", CLASSES, "multilabel", "tiny", {})


def training(shards: Path, folder: Path | None = None, **changes: Any) -> TrainingRun:
    method = changes.pop("method", "cam")
    options = OPTIONS.model_copy(update=changes)
    kept = None if folder is None else CheckpointFolder(folder, Cadence(steps=1, minutes=None))
    data = TrainingData(Shards.open(shards), 16)
    return training_on(data, network(method), options, CPU, checkpoints=kept)


def without_timings(curve: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{k: v for k, v in metrics.items() if k not in TIMINGS} for metrics in curve]


def end(run: TrainingRun) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
    curve = list(run.epochs())
    return run.result.state_dict(), without_timings(curve)


def killed_at(step: int) -> Any:
    """A listener that ends a training after some of its steps."""
    count = 0

    def listener(_: Position) -> None:
        nonlocal count
        count += 1
        if count == step:
            raise Killed

    return listener


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.mark.parametrize("method", ["cam", "spn", "spg"])
@settings(max_examples=3, deadline=None)
@given(kill=st.integers(1, 2 * STEPS), seed=st.integers(0, 99))
def test_killed_at_any_step_it_ends_bit_for_bit_the_same(
    method: str, kill: int, seed: int, digit_shards: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    weights, curve = end(training(digit_shards, method=method, seed=seed))
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    first = training(digit_shards, folder, method=method, seed=seed)
    told: list[dict[str, float]] = []
    with pytest.raises(Killed):
        for metrics in first.epochs(killed_at(kill)):
            told.append(metrics)
    again = training(digit_shards, folder, method=method, seed=seed)
    again.resume()
    done = again.epoch
    for metrics in again.epochs():
        told.append(metrics)
    assert_equal(again.result.state_dict(), weights)
    assert without_timings(told[:done] + told[len(told) - 2 + done :]) == curve


@pytest.mark.parametrize(
    "changes",
    [
        {"ema_decay": 0.9},
        {"optimizer": "adamw", "clip_norm": 0.5},
        {"micro_batch": 10, "last_batch": "short", "batch_size": 36},
    ],
)
def test_so_it_is_with_all_that_has_a_state(
    changes: dict[str, Any], digit_shards: Path, tmp_path: Path
) -> None:
    weights, curve = end(training(digit_shards, **changes))
    with pytest.raises(Killed):
        list(training(digit_shards, tmp_path / "c", **changes).epochs(killed_at(4)))
    again = training(digit_shards, tmp_path / "c", **changes)
    assert again.resume()
    rest_weights, rest = end(again)
    assert_equal(rest_weights, weights)
    assert rest == curve[again.epoch - len(rest) :]


def test_a_finished_training_has_nothing_left(digit_shards: Path, tmp_path: Path) -> None:
    run = training(digit_shards, tmp_path / "c")
    weights, _ = end(run)
    again = training(digit_shards, tmp_path / "c")
    assert again.resume()
    assert list(again.epochs()) == []
    assert_equal(again.result.state_dict(), weights)


def test_a_checkpoint_of_another_network_or_average_is_refused(
    digit_shards: Path, tmp_path: Path
) -> None:
    end(training(digit_shards, tmp_path / "c", epochs=1))
    with pytest.raises(WsolError, match=r"epoch-00001-step-00000000.*of another optimizer"):
        training(digit_shards, tmp_path / "c", method="spg").resume()
    with pytest.raises(WsolError, match=r"of a training with another train\.ema_decay"):
        training(digit_shards, tmp_path / "c", ema_decay=0.5).resume()


def test_training_lowers_the_loss_and_tells_where_it_is(digit_shards: Path) -> None:
    told: list[Position] = []
    run = training(digit_shards, epochs=3)
    run.steps_per_report = 2
    curve = list(run.epochs(told.append))
    assert curve[-1]["loss"] < curve[0]["loss"]
    assert 0 <= curve[-1]["val_classification_map"] <= 1
    assert [p.images for p in told] == [24 * step for step in range(1, 13)]
    assert {p.total for p in told} == {288}
    assert [p.metrics is None for p in told] == [True, False] * 6
    assert told[1].metrics is not None
    assert set(told[1].metrics) == {"classification", "loss", "learning_rate", "gradient_norm"}


def test_an_epoch_has_the_readings_of_its_time(digit_shards: Path) -> None:
    metrics = next(training(digit_shards).epochs())
    assert metrics["images_per_s"] > 0
    assert 0 < metrics["loader_wait"] < 1
    assert metrics["memory_mb"] > 50
    assert metrics["gradient_norm"] > 0
    assert math.isfinite(metrics["loss"])


def test_a_loss_that_is_not_finite_names_step_images_and_checkpoint(
    digit_shards: Path, tmp_path: Path
) -> None:
    run = training(digit_shards, tmp_path / "c")
    with torch.no_grad():
        next(run.method.new_layers().parameters()).fill_(float("nan"))
    with pytest.raises(WsolError) as caught:
        list(run.epochs())
    first = next(training(digit_shards).loader.batches(0)).image_ids
    assert str(caught.value) == (
        f"training diverged in epoch 1, step 1: the loss is nan; images {', '.join(first[:8])} and "
        "16 more; last good checkpoint none; lower train.learning_rate, set train.clip_norm or add "
        "train.warmup_epochs"
    )


def test_the_last_good_checkpoint_is_named(digit_shards: Path, tmp_path: Path) -> None:
    run = training(digit_shards, tmp_path / "c")

    def poison(position: Position) -> None:
        if position.step == 3:
            with torch.no_grad():
                next(run.method.new_layers().parameters()).fill_(float("inf"))

    with pytest.raises(WsolError, match=r"step 3: .*last good checkpoint \S*-step-\d*2;"):
        list(run.epochs(poison))


def test_weights_that_are_not_finite_are_never_saved(digit_shards: Path, tmp_path: Path) -> None:
    """The loss of a step is that of the weights before it."""
    run = training(digit_shards, tmp_path / "c")

    def poison(position: Position) -> None:
        if position.step == 2:
            with torch.no_grad():
                next(run.method.new_layers().parameters()).fill_(float("inf"))

    with pytest.raises(WsolError, match=r"epoch 1, step 2: a weight is not finite; images \S+, "):
        list(run.epochs(poison))
    assert {path.name for path in (tmp_path / "c").iterdir()} == {"epoch-00000-step-00000001"}


def test_a_training_takes_any_loader() -> None:
    """Two fixed batches, from nowhere: the contract is all that a training knows."""

    class Fixed:
        def plan(self, past: Sequence[Stretch] = ()) -> BatchPlan:
            return BatchPlan(8 - sum(s.steps for s in past) * 4, 4, 1)

        def batches(self, epoch: int, past: Sequence[Stretch] = ()) -> Iterator[Batch]:
            for _ in range(self.plan(past).steps):
                yield Batch(
                    images=torch.zeros(4, 32, 32, 3, dtype=torch.uint8),
                    labels=torch.ones(4, CLASSES),
                    difficult=torch.zeros(4, CLASSES, dtype=torch.bool),
                    extents=torch.ones(4, 2),
                )

    options = TrainOptions(epochs=2, validation_images=0)
    run = TrainingRun(network(), options, Fixed(), lambda: iter(()), CPU)
    assert [metrics["epoch"] for metrics in run.epochs()] == [1, 2]


@settings(max_examples=8, deadline=None)
@given(world=st.integers(1, 5), limit=st.integers(1, 30))
def test_validation_is_shared_out_without_loss(digit_shards: Path, world: int, limit: int) -> None:
    options, method = TrainOptions(validation_images=limit, crop_margin=0), network()
    data = TrainingData(Shards.open(digit_shards), 16)
    counts = [
        sum(
            len(batch.labels)
            for batch in validation_batches(data, method, options, Share(rank, world), batch_size=4)
        )
        for rank in range(world)
    ]
    assert sum(counts) == min(limit, sum(g.rows for g in row_groups(digit_shards, "val")))
    assert max(counts) - min(counts) <= 1


def test_what_a_step_is_is_said(digit_shards: Path) -> None:
    run = training(digit_shards, micro_batch=10, precision="float32")
    assert run.summary() == (
        "batches of 24 images: 1 workers x 24, in 3 parts; learning rate 0.05; float32, losses and "
        "weights float32"
    )
