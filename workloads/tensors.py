"""Named tensors in files, and from files into modules, with every one of them accounted for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, load_file, save_file
from torch import Tensor, nn

from workloads.errors import ConfigError, IntegrityError, NotFound
from workloads.storage.storage import storage_of

# The file of a network's parameters and buffers in checkpoints and model versions.
WEIGHTS_FILE = "weights.safetensors"
# How many names a message lists before it only counts the rest.
LISTED = 8


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors: on the CPU, row-major, the same bytes for the same values."""
    rows = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    save_file(rows, path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file onto the CPU.

    Raises:
        NotFound: the file is missing.
        IntegrityError: the file is not safetensors.
    """
    storage = storage_of(path)
    if not storage.exists(path):
        raise NotFound(f"{path}: no such file")
    file = storage.local(path)
    try:
        if file is not None:
            return dict(load_file(file))  # mapped, not copied
        with storage.open(path) as stream:
            return dict(load(stream.read()))
    except SafetensorError as error:
        raise IntegrityError(f"{path}: not a whole safetensors file ({error})") from None


def load_exactly(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Copy tensors into a module's parameters and buffers, all of them or none.

    Args:
        where: name of the tensors' source, for the message.

    Raises:
        ConfigError: tensors are missing, unexpected or of another shape; all kinds are listed.
    """
    own = module.state_dict()
    problems = mismatches(
        {name: tuple(t.shape) for name, t in own.items()},
        {name: tuple(t.shape) for name, t in tensors.items()},
    )
    if problems:
        raise ConfigError(f"{where} does not fit {type(module).__name__}: {problems}")
    own.update(tensors)  # its own state also says which layout it is in; MNASNet insists on that
    module.load_state_dict(own)


def mismatches(
    expected: Mapping[str, tuple[int, ...]], given: Mapping[str, tuple[int, ...]]
) -> str:
    """Differences between two sets of named shapes in words, empty if there are none."""
    wrong = [
        f"{name} (given {given[name]}, expected {expected[name]})"
        for name in sorted(expected.keys() & given.keys())
        if given[name] != expected[name]
    ]
    groups = {
        "missing": sorted(expected.keys() - given.keys()),
        "unexpected": sorted(given.keys() - expected.keys()),
        "wrong shape": wrong,
    }
    return "; ".join(f"{kind}: {_listed(names)}" for kind, names in groups.items() if names)


def is_channels_last(tensor: Tensor) -> bool:
    """Whether a tensor's memory is laid out channels-last and not also row-major."""
    return (
        tensor.dim() == 4
        and not tensor.is_contiguous()
        and tensor.is_contiguous(memory_format=torch.channels_last)
    )


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    rest = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {rest} more" if rest > 0 else "")
