"""The optimizer's groups, and the learning rate of each."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workloads.errors import ConfigError
from workloads.methods.base import Method
from workloads.methods.registry import build_method
from workloads.training.optimizer import learning_rate_at, make_optimizer, set_learning_rate
from workloads.training.options import TrainOptions
from workloads.training.share import Share

OPTIONS = TrainOptions(
    learning_rate=0.1, new_layer_factor=5, weight_decay=0.01, momentum=0.8, warmup_epochs=1
)


@pytest.fixture
def method() -> Method:
    torch.manual_seed(0)
    return build_method("cam", "tiny", 3, "multilabel")


def test_every_learned_parameter_is_in_one_group(method: Method) -> None:
    groups = make_optimizer(method, OPTIONS).param_groups
    held = [id(p) for group in groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in method.parameters())
    new = {id(p) for p in method.new_layers().parameters()}
    assert [group["factor"] for group in groups] == [1.0, 5]
    assert {id(p) for p in groups[1]["params"]} == new
    assert all(group["weight_decay"] == 0.01 for group in groups)
    assert all(group["momentum"] == 0.8 for group in groups)


def test_a_frozen_backbone_leaves_one_group(method: Method) -> None:
    method.backbone.requires_grad_(False)
    (group,) = make_optimizer(method, OPTIONS).param_groups
    assert group["factor"] == 5
    adam = make_optimizer(method, OPTIONS.model_copy(update={"optimizer": "adam"}))
    assert type(adam) is torch.optim.Adam
    assert "momentum" not in adam.param_groups[0]
    adamw = make_optimizer(method, OPTIONS.model_copy(update={"optimizer": "adamw"}))
    assert type(adamw) is torch.optim.AdamW


def test_biases_may_have_a_rate_and_a_decay_of_their_own(method: Method) -> None:
    options = OPTIONS.model_copy(
        update={"bias_factor": 2.0, "decay_biases": False, "nesterov": True}
    )
    groups = make_optimizer(method, options).param_groups
    assert [group["factor"] for group in groups] == [1.0, 2.0, 5.0, 10.0]
    assert [group["weight_decay"] for group in groups] == [0.01, 0.0, 0.01, 0.0]
    assert all(group["nesterov"] for group in groups)
    names = {id(p): name for name, p in method.named_parameters()}
    for group, backbone, bias in zip(
        groups, (True, True, False, False), (False, True, False, True), strict=True
    ):
        assert group["params"]
        for name in (names[id(p)] for p in group["params"]):
            assert (name.startswith("backbone."), name.endswith(".bias")) == (backbone, bias)
    assert sum(len(group["params"]) for group in groups) == len(names)


def test_a_nesterov_step_by_hand() -> None:
    """Of one weight and one bias: v = m v + g, and the step is lr * (g + m v)."""
    method = build_method("cam", "tiny", 3, "multilabel", None, {"channels": None})
    method.backbone.requires_grad_(False)
    options = OPTIONS.model_copy(
        update={"nesterov": True, "bias_factor": 2.0, "decay_biases": False, "learning_rate": 0.1}
    )
    optimizer = make_optimizer(method, options)
    set_learning_rate(optimizer, options.learning_rate)
    weight, bias = method.classifier.weight, method.classifier.bias
    with torch.no_grad():
        weight.fill_(2.0)
        bias.fill_(3.0)
    for _ in range(2):
        weight.grad, bias.grad = torch.full_like(weight, 0.5), torch.full_like(bias, 0.5)
        optimizer.step()
    # Weight, rate 0.1 * 5, decay 0.01: g = 0.52, v = 0.52, step 0.5 * 1.8 * 0.52 = 0.468; then
    # g = 0.5 + 0.01 * 1.532 = 0.51532, v = 0.8 * 0.52 + g = 0.93132, step 0.5 * (g + 0.8 * v).
    torch.testing.assert_close(weight, torch.full_like(weight, 2 - 0.468 - 0.630188))
    # Bias, rate 1, no decay: steps 0.9 and 0.5 + 0.8 * 0.9 = 1.22.
    torch.testing.assert_close(bias, torch.full_like(bias, 3 - 0.9 - 1.22))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nesterov": True, "momentum": 0}, "nesterov: .*needs optimizer sgd and a momentum"),
        ({"nesterov": True, "optimizer": "adam"}, "nesterov: .*needs optimizer sgd"),
        ({"resize": "short_side", "fit": "pad"}, "resize: .*padded images keep their shape"),
        ({"bias_factor": 0}, "bias_factor"),
    ],
)
def test_training_that_makes_no_sense_is_refused(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainOptions.parse(options, "train")


def test_warmup_rises_and_never_stands_still() -> None:
    assert [learning_rate_at(e, OPTIONS) for e in (0, 0.005, 0.25, 0.5, 1)] == pytest.approx(
        [0.001, 0.001, 0.025, 0.05, 0.1]
    )
    short = OPTIONS.model_copy(update={"schedule": "cosine", "epochs": 1})
    assert learning_rate_at(1.0, short) == pytest.approx(0.1)  # warm-up is all there is


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


@pytest.mark.parametrize(
    ("rule", "share", "batch", "factor"),
    [
        ("total", Share(0, 3, 4), 32, 1.0),
        ("worker", Share(0, 4, 4), 32, 1.0),
        ("worker", Share(0, 3, 4), 24, 0.75),
        ("worker", Share(0, 2), 32, 1.0),
    ],
)
def test_fewer_workers_than_planned_follow_a_rule(
    rule: str, share: Share, batch: int, factor: float
) -> None:
    options = TrainOptions(batch_size=32, batch_rule=rule)
    assert (options.batch_of(share), options.rate_factor(share)) == (batch, factor)
