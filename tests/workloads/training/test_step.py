"""One step by itself: its gradients in parts, their length, the average, and what it weighs."""

from __future__ import annotations

import copy
from functools import partialmethod
from typing import Any

import pytest
import torch

from workloads.errors import ConfigError
from workloads.methods.base import Method
from workloads.methods.registry import build_method
from workloads.training.batch import Batch
from workloads.training.options import TrainOptions
from workloads.training.step import Stepper
from workloads.training.team import Team

OPTIONS = TrainOptions(learning_rate=0.1, momentum=0, weight_decay=0, precision="float32")
CPU = torch.device("cpu")


@pytest.fixture
def method() -> Method:
    torch.manual_seed(0)
    return build_method("cam", "tiny", 3, "multilabel", None, {"channels": None})


def batch(images: int, seed: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    return Batch(
        images=torch.randint(0, 256, (images, 32, 32, 3), generator=rng, dtype=torch.uint8),
        labels=torch.eye(3)[torch.arange(images) % 3],
        difficult=torch.zeros(images, 3, dtype=torch.bool),
        extents=torch.ones(images, 2),
        image_ids=tuple(str(i) for i in range(images)),
    )


def stepper(method: Method, **changes: Any) -> Stepper:
    options = OPTIONS.model_copy(update=changes)
    return Stepper(copy.deepcopy(method), options, CPU, Team())


def weights(stepper: Stepper) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in stepper.method.parameters()])


@pytest.fixture
def fixed_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batch normalisation with the statistics that it has: else they are those of a part."""
    train = torch.nn.Module.train
    monkeypatch.setattr(torch.nn.BatchNorm2d, "train", lambda self, _=True: train(self, False))


@pytest.mark.usefixtures("fixed_statistics")
@pytest.mark.parametrize("size", [1, 4, 5, 7, 9])
def test_parts_of_a_batch_have_the_gradient_of_the_whole(method: Method, size: int) -> None:
    whole, parts = stepper(method), stepper(method, micro_batch=size)
    terms, _ = whole.step(batch(7), 0.1)
    of_parts, _ = parts.step(batch(7), 0.1)
    torch.testing.assert_close(weights(parts), weights(whole))
    for name, value in terms.items():
        torch.testing.assert_close(of_parts[name], value)


def test_the_loss_is_the_sum_of_its_terms(method: Method) -> None:
    terms, norm = stepper(method).step(batch(4), 0.1)
    assert set(terms) == {"classification", "loss"}
    assert float(terms["loss"]) == pytest.approx(float(terms["classification"]))
    assert norm is None


def test_a_batch_weighs_what_it_says(method: Method) -> None:
    """Plain descent: half of the weight is half of the step; the loss that is told stays."""
    full, half = stepper(method), stepper(method)
    before = weights(full)
    one, _ = full.step(batch(4), 0.1)
    other, _ = half.step(batch(4)._replace(weight=0.5), 0.1)
    torch.testing.assert_close(weights(half) - before, (weights(full) - before) / 2)
    assert float(one["loss"]) == float(other["loss"])


def test_a_long_gradient_is_cut_to_its_limit(method: Method) -> None:
    free, cut = stepper(method), stepper(method, clip_norm=1e-3)
    before = weights(free)
    _, norm = free.step(batch(4), 0.1, wants_norm=True)
    _, same = cut.step(batch(4), 0.1)
    assert norm is not None
    assert same is not None
    assert float(norm) == pytest.approx(float(same))
    assert float(norm) == pytest.approx(float((weights(free) - before).norm()) / 0.1, rel=1e-4)
    assert float((weights(cut) - before).norm()) == pytest.approx(0.1 * 1e-3, rel=1e-3)


def test_the_average_follows_the_weights(method: Method) -> None:
    """After the first step it is the weights; then it moves a tenth of the way to them."""
    one = stepper(method, ema_decay=0.9)
    one.step(batch(4), 0.1)
    first = weights(one)
    one.step(batch(4, seed=1), 0.1)
    averaged = torch.cat([p.detach().flatten() for p in one.result.parameters()])
    torch.testing.assert_close(averaged, 0.9 * first + 0.1 * weights(one))
    assert one.result is not one.method
    assert stepper(method).result is not None


def test_bf16_is_of_the_forward_pass_alone(method: Method) -> None:
    exact, lower = stepper(method), stepper(method, precision="bf16")
    terms, _ = exact.step(batch(4), 0.1)
    rounded, _ = lower.step(batch(4), 0.1)
    assert rounded["loss"].dtype == torch.float32
    assert {p.dtype for p in lower.method.parameters()} == {torch.float32}
    assert float(rounded["loss"]) != float(terms["loss"])
    assert float(rounded["loss"]) == pytest.approx(float(terms["loss"]), rel=0.05)


def test_batch_statistics_of_all_workers_need_gpus(method: Method) -> None:
    with pytest.raises(ConfigError, match=r"sync_batch_norm is true and the device cpu; it needs"):
        stepper(method, sync_batch_norm=True)


def test_a_compiled_network_learns_the_same(
    method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled without a C++ compiler: the graph is captured and run as it is."""
    monkeypatch.setattr(
        "torch.nn.Module.compile", partialmethod(torch.nn.Module.compile, backend="eager")
    )
    plain, compiled = stepper(method), stepper(method, compile=True)
    for one in (plain, compiled):
        one.step(batch(4), 0.1)
    torch.testing.assert_close(weights(compiled), weights(plain))
    assert compiled.method.state_dict().keys() == plain.method.state_dict().keys()


def test_the_layout_of_weights_is_an_option(method: Method) -> None:
    def is_last(one: Stepper) -> bool:
        weight = next(p for p in one.method.parameters() if p.dim() == 4 and p.shape[1] > 1)
        return weight.is_contiguous(memory_format=torch.channels_last)

    assert is_last(stepper(method))
    assert not is_last(stepper(method, channels_last=False))


@pytest.mark.parametrize("fast", [[True, True], [True, False], [False]])
def test_a_team_takes_bf16_where_all_its_machines_multiply_it(
    method: Method, fast: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": fast[0]})
    team = Team()
    monkeypatch.setattr(team, "gather", lambda mine: [mine, *fast[1:]])
    options = OPTIONS.model_copy(update={"precision": "auto"})
    expected = torch.bfloat16 if all(fast) else torch.float32
    assert Stepper(method, options, CPU, team).precision == expected
