"""Tensors go into files and modules bit for bit, all of them or none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
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


def test_bits_and_types_come_back(tmp_path: Path) -> None:
    tensors = {
        "nan": torch.tensor([float("nan"), -0.0, float("inf")]),
        "half": torch.tensor([[1.5]], dtype=torch.bfloat16),
        "count": torch.tensor([7]),
        "none": torch.zeros(0, 3),
    }
    write_tensors(tmp_path / "t", tensors)
    back = read_tensors(tmp_path / "t")
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert (back[name].dtype, back[name].shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(back[name].view(torch.uint8), tensor.view(torch.uint8))


def test_the_file_depends_on_values_alone(tmp_path: Path) -> None:
    rows = torch.arange(48.0).reshape(1, 3, 4, 4)
    layouts = {
        "plain": rows,
        "last": rows.contiguous(memory_format=torch.channels_last),
        "learned": rows.clone().requires_grad_(),
        "view": torch.cat([rows, rows])[1:],
    }
    for name, tensor in layouts.items():
        write_tensors(tmp_path / name, {"x": tensor})
    assert len({(tmp_path / name).read_bytes() for name in layouts}) == 1


def test_a_missing_and_a_broken_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t"
    with pytest.raises(NotFound) as caught:
        read_tensors(path)
    assert str(caught.value) == f"{path}: no such file"
    write_tensors(path, {"x": torch.zeros(9)})
    for content in (path.read_bytes()[:-1], b"", b"x" * 99):
        path.write_bytes(content)
        with pytest.raises(IntegrityError, match=r"t: not a whole safetensors file \("):
            read_tensors(path)


SHAPES = st.dictionaries(st.sampled_from("abcd"), st.sampled_from([(1,), (2,), (1, 2)]))


@given(SHAPES, SHAPES)
def test_equal_shapes_are_the_only_ones_without_a_word(
    expected: dict[str, tuple[int, ...]], given_shapes: dict[str, tuple[int, ...]]
) -> None:
    assert (mismatches(expected, given_shapes) == "") == (expected == given_shapes)


def test_every_kind_of_difference_is_said_in_one_line() -> None:
    expected = {"a": (2, 3), "b": (1,), "d": ()}
    assert mismatches(expected, {"a": (3, 2), "c": (1,), "d": ()}) == (
        "missing: b; unexpected: c; wrong shape: a (given (3, 2), expected (2, 3))"
    )


@pytest.mark.parametrize(("extra", "end"), [(0, "t07"), (1, "t07 and 1 more"), (5, " and 5 more")])
def test_a_long_list_is_counted(extra: int, end: str) -> None:
    names = {f"t{i:02}": (1,) for i in range(LISTED + extra)}
    assert mismatches(names, {}).endswith(end)


def test_what_does_not_fit_changes_nothing() -> None:
    layer = nn.Linear(2, 2)
    before = {name: t.clone() for name, t in layer.state_dict().items()}
    given_tensors = {"weight": torch.ones(2, 2), "bias": torch.ones(3)}
    with pytest.raises(ConfigError) as caught:
        load_exactly(layer, given_tensors, "file")
    assert str(caught.value) == (
        "file does not fit Linear: wrong shape: bias (given (3,), expected (2,))"
    )
    assert all(torch.equal(before[name], t) for name, t in layer.state_dict().items())


def test_parameters_and_buffers_are_filled_in_place() -> None:
    norm = nn.BatchNorm1d(2)
    parameter = norm.weight
    state = {name: torch.full_like(t, 3) for name, t in norm.state_dict().items()}
    load_exactly(norm, state, "file")
    assert norm.weight is parameter  # an optimizer holds it
    assert all((t == 3).all() for t in norm.state_dict().values())


@pytest.mark.parametrize(
    ("shape", "expected"), [((2, 3, 4, 4), True), ((2, 1, 4, 4), False), ((2, 3, 1, 1), False)]
)
def test_a_layout_that_is_both_is_row_major(shape: tuple[int, ...], expected: bool) -> None:
    tensor = torch.zeros(shape)
    assert not is_channels_last(tensor)
    assert is_channels_last(tensor.contiguous(memory_format=torch.channels_last)) == expected


def test_only_four_dimensions_have_that_layout() -> None:
    assert not is_channels_last(torch.zeros(3, 4).T)
