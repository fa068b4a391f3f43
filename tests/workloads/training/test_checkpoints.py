"""Checkpoints come back bit for bit, or not at all."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from workloads import artifacts
from workloads.errors import ConfigError, IntegrityError, NotFound
from workloads.localization.cutoffs import Cutoffs
from workloads.methods.base import Method, Targets
from workloads.methods.registry import build_method
from workloads.models.card import ModelCard, Preprocessing
from workloads.models.version import save_model
from workloads.tensors import WEIGHTS_FILE, is_channels_last
from workloads.training.checkpoints import (
    OPTIMIZER_FILE,
    State,
    load_checkpoint,
    load_initial,
    save_checkpoint,
)

OPTIMIZERS = {
    "sgd": lambda groups: torch.optim.SGD(groups, 0.05, momentum=0.9, weight_decay=5e-4),
    "plain sgd": lambda groups: torch.optim.SGD(groups, 0.1),
    "adam": lambda groups: torch.optim.Adam(groups, 1e-3, weight_decay=1e-4, amsgrad=True),
}


def make(optimizer: str, seed: int = 0) -> tuple[Method, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    method = build_method("spn", "tiny", 3, "multilabel", "tiny", {"channels": 32})
    method.to(memory_format=torch.channels_last)
    groups = [
        {"params": list(method.backbone.parameters()), "factor": 1.0},
        {"params": list(method.new_layers().parameters()), "factor": 10.0},
    ]
    return method, OPTIMIZERS[optimizer](groups)


def train(method: Method, optimizer: torch.optim.Optimizer, steps: range) -> None:
    method.train()
    for step in steps:
        torch.manual_seed(step)
        images = torch.randn(4, 3, 32, 32).contiguous(memory_format=torch.channels_last)
        outputs = method(images)
        loss = method.loss(outputs, Targets((torch.rand(4, 3) > 0.5).float()))
        optimizer.zero_grad()
        loss["classification"].backward()
        optimizer.step()


def assert_same(one: object, other: object) -> None:
    """Equal values, types, dtypes and bits, all the way down."""
    assert type(one) is type(other) or isinstance(one, dict)
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    elif isinstance(one, dict) and isinstance(other, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    else:
        assert one == other


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_stopped_training_continues_bit_for_bit(optimizer: str, tmp_path: Path) -> None:
    method, state = make(optimizer)
    train(method, state, range(3))
    save_checkpoint(
        tmp_path / "c",
        State(method.state_dict(), state.state_dict(), meta={"epochs": 3, "note": [0.1, None]}),
    )
    saved = load_checkpoint(tmp_path / "c")
    assert saved.meta == {"epochs": 3, "note": [0.1, None]}
    assert_same(saved.model, dict(method.state_dict()))
    assert_same(saved.optimizer, state.state_dict())

    other, other_state = make(optimizer, seed=1)
    saved.restore(other, other_state)
    assert_same(other_state.state_dict(), state.state_dict())
    for run in ((method, state), (other, other_state)):
        train(*run, range(3, 6))
    assert_same(dict(other.state_dict()), dict(method.state_dict()))


def test_the_layout_of_momentum_comes_back(tmp_path: Path) -> None:
    method, state = make("sgd")
    train(method, state, range(1))
    save_checkpoint(tmp_path / "c", State(method.state_dict(), state.state_dict(), meta={}))
    before = state.state_dict()["state"]
    after = load_checkpoint(tmp_path / "c").optimizer["state"]
    layouts = {i: is_channels_last(entry["momentum_buffer"]) for i, entry in before.items()}
    assert any(layouts.values())
    assert layouts == {i: is_channels_last(e["momentum_buffer"]) for i, e in after.items()}


def test_an_optimizer_that_has_not_stepped_is_kept_too(tmp_path: Path) -> None:
    method, state = make("adam")
    save_checkpoint(tmp_path / "c", State(method.state_dict(), state.state_dict(), meta={}))
    assert_same(load_checkpoint(tmp_path / "c").optimizer, state.state_dict())


def test_there_is_no_pickle_in_a_checkpoint(tmp_path: Path) -> None:
    method, state = make("sgd")
    save_checkpoint(tmp_path / "c", State(method.state_dict(), state.state_dict(), meta={}))
    names = {p.name for p in (tmp_path / "c").iterdir()}
    assert names == {WEIGHTS_FILE, OPTIMIZER_FILE, "checkpoint.json", artifacts.MANIFEST}


def test_changed_and_missing_checkpoints_are_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no checkpoint there"):
        load_checkpoint(tmp_path / "c")
    method, state = make("sgd")
    save_checkpoint(tmp_path / "c", State(method.state_dict(), state.state_dict(), meta={}))
    path = tmp_path / "c" / WEIGHTS_FILE
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(IntegrityError, match="changed since the checkpoint was written"):
        load_checkpoint(tmp_path / "c")


def test_another_schema_is_refused(tmp_path: Path) -> None:
    method, state = make("sgd")
    save_checkpoint(tmp_path / "c", State(method.state_dict(), state.state_dict(), meta={}))
    artifacts.seal(tmp_path / "c", kind="checkpoint", schema_version=9)
    with pytest.raises(
        ConfigError, match="checkpoint schema 9, this version knows 2; go on with the version"
    ):
        load_checkpoint(tmp_path / "c")


def test_settings_that_json_does_not_have_come_back(tmp_path: Path) -> None:
    network = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    state = optimizer.state_dict()
    state["param_groups"][0] |= {"most": math.inf, "limits": (-math.inf, 1.0)}
    save_checkpoint(tmp_path / "c", State(network.state_dict(), state))
    (group,) = load_checkpoint(tmp_path / "c").optimizer["param_groups"]
    assert (group["most"], group["limits"]) == (math.inf, (-math.inf, 1.0))
    assert "Infinity" not in (tmp_path / "c" / "checkpoint.json").read_text()


def test_a_state_that_is_not_json_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    method, state = make("sgd")
    strange = state.state_dict()
    strange["param_groups"][0]["hook"] = object()
    with pytest.raises(ConfigError, match="optimizer state 'hook' is a object"):
        save_checkpoint(tmp_path / "c", State(method.state_dict(), strange))
    assert list(tmp_path.iterdir()) == []


def test_restoring_into_another_network_changes_nothing(tmp_path: Path) -> None:
    method, state = make("sgd")
    save_checkpoint(tmp_path / "c", State(method.state_dict(), state.state_dict(), meta={}))
    saved = load_checkpoint(tmp_path / "c")
    other = build_method("spn", "tiny", 5, "multilabel", "tiny", {"channels": 32})
    before = {name: t.clone() for name, t in other.state_dict().items()}
    parts = (other.backbone, other.new_layers())
    groups = [{"params": list(part.parameters()), "factor": 1.0} for part in parts]
    with pytest.raises(ConfigError, match=r"wrong shape: classifier\.bias"):
        saved.restore(other, OPTIMIZERS["sgd"](groups))
    with pytest.raises(ConfigError, match="another optimizer: unexpected: parameters of group 1"):
        saved.restore(method, OPTIMIZERS["sgd"](groups[:1]))
    assert_same(dict(other.state_dict()), before)


def test_a_backbone_starts_from_a_checkpoint_of_another_method(tmp_path: Path) -> None:
    method, state = make("sgd")
    train(method, state, range(2))
    save_checkpoint(tmp_path / "c", State(method.state_dict(), state.state_dict(), meta={}))
    other = build_method("cam", "tiny", 9, "singlelabel", "tiny")
    head = other.classifier.weight.clone()
    load_initial(other.backbone, tmp_path / "c")
    assert_same(dict(other.backbone.state_dict()), dict(method.backbone.state_dict()))
    assert torch.equal(other.classifier.weight, head)


def test_a_backbone_starts_from_a_model_version(tmp_path: Path) -> None:
    method, _ = make("sgd")
    card = ModelCard(
        method="spn",
        method_options=method.options.model_dump(mode="json"),
        backbone="tiny",
        task="multilabel",
        classes=("a", "b", "c"),
        preprocessing=Preprocessing(size=64, mean=(0.5,) * 3, std=(0.5,) * 3),
        cutoffs=Cutoffs(),
        cooccurrence=((0.0,) * 3,) * 3,
        provenance={},
    )
    save_model(tmp_path / "m", method, card)
    other, _ = make("sgd", seed=1)
    load_initial(other.backbone, tmp_path / "m")
    assert_same(dict(other.backbone.state_dict()), dict(method.backbone.state_dict()))


def test_initial_weights_of_another_backbone_are_refused(tmp_path: Path) -> None:
    method, state = make("sgd")
    save_checkpoint(tmp_path / "c", State(method.state_dict(), state.state_dict(), meta={}))
    vgg = build_method("cam", "vgg16", 3, "multilabel", "tiny")
    with pytest.raises(ConfigError, match=r"does not fit Vgg16: missing: features\.0\.bias"):
        load_initial(vgg.backbone, tmp_path / "c")
    with pytest.raises(NotFound, match="no checkpoint or model there"):
        load_initial(vgg.backbone, tmp_path / "nothing")


def test_a_copy_stays_as_it_was_and_keeps_the_layout() -> None:
    method, optimizer = make("sgd")
    train(method, optimizer, range(1))
    state = State(method.state_dict(), optimizer.state_dict())
    copy = state.copied()
    before = {name: tensor.clone() for name, tensor in state.model.items()}
    train(method, optimizer, range(1, 2))
    assert_same(dict(copy.model), before)
    for number, entry in state.optimizer["state"].items():
        ours = copy.optimizer["state"][number]["momentum_buffer"]
        assert is_channels_last(ours) == is_channels_last(entry["momentum_buffer"])
        assert not torch.equal(ours, entry["momentum_buffer"])


def test_the_result_is_the_average_where_there_is_one() -> None:
    network = torch.nn.Linear(2, 1)
    average = torch.optim.swa_utils.AveragedModel(torch.nn.Linear(2, 1))
    state = State(network.state_dict(), {}, average.state_dict())
    assert_same(state.result(), dict(average.module.state_dict()))
    assert_same(State(network.state_dict(), {}).result(), dict(network.state_dict()))
