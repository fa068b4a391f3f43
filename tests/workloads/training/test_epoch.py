"""One epoch by itself: the optimizer's groups, its rates, its means, and its end in NaN."""

from __future__ import annotations

import pytest
import torch

from workloads.errors import ConfigError, WsolError
from workloads.methods.base import Method
from workloads.methods.registry import build_method
from workloads.training.batch import Batch
from workloads.training.epoch import (
    Position,
    class_scores,
    learning_rate_at,
    make_optimizer,
    train_epoch,
)
from workloads.training.options import TrainOptions

OPTIONS = TrainOptions(
    learning_rate=0.1, new_layer_factor=5, weight_decay=0.01, momentum=0.8, warmup_epochs=1
)


@pytest.fixture
def method() -> Method:
    torch.manual_seed(0)
    return build_method("cam", "tiny", 3, "multilabel")


def batch(images: int, seed: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    return Batch(
        images=torch.randint(0, 256, (images, 32, 32, 3), generator=rng, dtype=torch.uint8),
        labels=torch.eye(3)[torch.arange(images) % 3],
        difficult=torch.zeros(images, 3, dtype=torch.bool),
        extents=torch.ones(images, 2),
    )


def run(method: Method, batches: list[Batch], epoch: int = 0) -> tuple[dict, list[Position], list]:
    optimizer = make_optimizer(method, OPTIONS)
    told: list[Position] = []
    rates: list[list[float]] = []

    def on_step(position: Position) -> None:
        told.append(position)
        rates.append([group["lr"] for group in optimizer.param_groups])

    means = train_epoch(method, method, batches, len(batches), epoch, optimizer, OPTIONS, on_step)
    return means, told, rates


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
    assert isinstance(adam, torch.optim.Adam)
    assert "momentum" not in adam.param_groups[0]


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
    for group in optimizer.param_groups:
        group["lr"] = options.learning_rate * group["factor"]
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


def test_each_step_has_the_rate_of_its_place_and_tells_where_it_is(method: Method) -> None:
    means, told, rates = run(method, [batch(4), batch(2)])
    assert rates == [pytest.approx([0.001, 0.005]), pytest.approx([0.05, 0.25])]
    assert means["learning_rate"] == pytest.approx(0.05)
    assert [(p.step, p.steps, p.images) for p in told] == [(1, 2, 4), (2, 2, 6)]
    assert 0 <= told[0].seconds <= told[1].seconds
    assert means["images_per_s"] > 0


def test_the_means_are_over_steps_and_the_loss_is_the_sum_of_its_terms(method: Method) -> None:
    frozen = [p.requires_grad_(False) for p in method.backbone.parameters()]
    assert frozen
    alone = [run_without_steps(method, b) for b in (batch(4), batch(4, seed=1))]
    slow = OPTIONS.model_copy(update={"learning_rate": 1e-12})
    means = train_epoch(
        method, method, [batch(4), batch(4, seed=1)], 2, 0, make_optimizer(method, slow), slow,
        lambda _: None,
    )  # fmt: skip
    assert means["loss"] == pytest.approx(sum(alone) / 2, rel=1e-5)
    terms = {k: v for k, v in means.items() if k not in ("loss", "learning_rate", "images_per_s")}
    assert means["loss"] == pytest.approx(sum(terms.values()), rel=1e-6)


def run_without_steps(method: Method, given: Batch) -> float:
    """The loss of a batch with the weights as they are."""
    still = OPTIONS.model_copy(update={"learning_rate": 1e-12})
    optimizer = make_optimizer(method, still)
    return train_epoch(method, method, [given], 1, 0, optimizer, still, lambda _: None)["loss"]


def test_a_loss_that_is_not_finite_ends_it_in_one_line(method: Method) -> None:
    with torch.no_grad():
        next(method.new_layers().parameters()).fill_(float("nan"))
    with pytest.raises(WsolError) as caught:
        run(method, [batch(2)], epoch=2)
    assert str(caught.value) == (
        "training diverged in epoch 3: classification, loss is not finite; "
        "lower train.learning_rate or add train.warmup_epochs"
    )


def test_scores_do_not_depend_on_how_images_are_batched(method: Method) -> None:
    method.train()
    whole = batch(5)
    parts = [Batch(*(t[s] for t in whole[:4])) for s in (slice(0, 2), slice(2, 5))]
    one, other = class_scores(method, [whole]), class_scores(method, parts)
    assert not method.training
    torch.testing.assert_close(one[0], other[0])
    assert torch.equal(one[1], whole.labels)
    assert torch.equal(other[2], whole.difficult)
    assert one[0].shape == (5, 3)
    assert not one[0].requires_grad
