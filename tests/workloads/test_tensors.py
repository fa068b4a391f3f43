"""Named tensors: the same bytes for the same values, and every mismatch said at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from workloads.errors import ConfigError, IntegrityError, NotFound
from workloads.tensors import (
    LISTED,
    is_channels_last,
    load_exactly,
    mismatches,
    read_tensors,
    write_tensors,
)


def module() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def test_tensors_come_back(tmp_path: Path) -> None:
    given = {
        "float": torch.randn(2, 3),
        "half": torch.randn(4).half(),
        "long": torch.tensor([1, -(2**40)]),
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 4),
    }
    write_tensors(tmp_path / "t.safetensors", given)
    back = read_tensors(tmp_path / "t.safetensors")
    assert set(back) == set(given)
    for name, tensor in given.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor)


def test_layout_gradient_and_order_leave_no_trace(tmp_path: Path) -> None:
    """What was trained channels-last is the same file as what was not."""
    image, other = torch.randn(2, 3, 4, 5), torch.randn(6)
    plain, laid_out = tmp_path / "plain", tmp_path / "laid_out"
    write_tensors(plain, {"image": image, "other": other})
    last = image.to(memory_format=torch.channels_last).requires_grad_()
    write_tensors(laid_out, {"other": other, "image": last})
    assert plain.read_bytes() == laid_out.read_bytes()


def test_a_part_of_a_larger_tensor_is_written_alone(tmp_path: Path) -> None:
    whole = torch.arange(1_000_000.0).reshape(1000, 1000)
    write_tensors(tmp_path / "t", {"column": whole[:, 3]})
    assert (tmp_path / "t").stat().st_size < 10_000
    assert torch.equal(read_tensors(tmp_path / "t")["column"], whole[:, 3])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"none\.safetensors: no such file"):
        read_tensors(tmp_path / "none.safetensors")


@pytest.mark.parametrize("keep", [0, 4, 40, -1])
def test_what_was_cut_off_is_not_loaded(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "t"
    write_tensors(path, {"a": torch.randn(10)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(IntegrityError, match="not a whole safetensors file"):
        read_tensors(path)


def test_a_pickle_is_no_tensor_file(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "t.pth")
    with pytest.raises(IntegrityError):
        read_tensors(tmp_path / "t.pth")


def test_parameters_and_buffers_are_loaded() -> None:
    source, target = module(), module()
    source(torch.randn(2, 3, 8, 8))  # moves the running mean
    load_exactly(target, source.state_dict(), "model.pth")
    for name, tensor in target.state_dict().items():
        assert torch.equal(tensor, source.state_dict()[name]), name


def test_all_that_does_not_fit_is_said_and_nothing_is_loaded() -> None:
    target = module()
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    tensors = {name: torch.full_like(t, 7) for name, t in target.state_dict().items()}
    del tensors["1.bias"]
    tensors["0.weight"] = torch.zeros(4, 3, 5, 5)
    tensors["head.weight"] = torch.zeros(1)
    with pytest.raises(ConfigError) as caught:
        load_exactly(target, tensors, "model.pth")
    assert str(caught.value) == (
        "model.pth does not fit Sequential: missing: 1.bias; unexpected: head.weight; "
        "wrong shape: 0.weight (given (4, 3, 5, 5), expected (4, 3, 3, 3))"
    )
    assert all(torch.equal(t, before[name]) for name, t in target.state_dict().items())


def test_equal_shapes_have_no_mismatch() -> None:
    shapes = {"a": (1, 2), "b": ()}
    assert mismatches(shapes, dict(reversed(shapes.items()))) == ""


@pytest.mark.parametrize("extra", [0, 1, 92])
def test_long_lists_are_counted(extra: int) -> None:
    expected = {f"layer{n:03}": (1,) for n in range(LISTED + extra)}
    said = mismatches(expected, {})
    assert said.startswith("missing: layer000, layer001")
    assert said.count("layer") == LISTED
    assert said.endswith(f" and {extra} more" if extra else f"layer{LISTED - 1:03}")


def test_channels_last_is_seen_where_it_differs() -> None:
    image = torch.zeros(2, 3, 4, 5)
    assert not is_channels_last(image)
    assert is_channels_last(image.to(memory_format=torch.channels_last))
    assert not is_channels_last(torch.zeros(2, 1, 4, 5).to(memory_format=torch.channels_last))
    assert not is_channels_last(torch.zeros(3, 4).t())
