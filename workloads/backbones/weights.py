"""Start a backbone from a file on this machine; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from workloads.backbones.base import Backbone
from workloads.errors import ConfigError, NotFound
from workloads.tensors import load_exactly, read_tensors


def load_weights(backbone: Backbone, path: Path) -> None:
    """Initialise a backbone from a safetensors file or a torch state dict.

    A file that ends in `.safetensors` is read as such, any other with
    `torch.load(weights_only=True)`, which runs no code from the file. Every tensor is accounted
    for: the backbone's own must all be there with their shapes, those it names in
    `ignored_weights` (a classifier, say) may be, others may not.

    Raises:
        NotFound: no such file; the message says which file to place there.
        ConfigError: not a state dict, or tensors are missing, unexpected or of another shape.
    """
    if not path.is_file():
        raise NotFound(f"{path}: no such file; place {_wanted(backbone)} there")
    tensors = read_tensors(path) if path.suffix == ".safetensors" else _read_state_dict(path)
    used = {name: t for name, t in tensors.items() if name not in backbone.ignored_weights()}
    load_exactly(backbone, used, str(path))


def _wanted(backbone: Backbone) -> str:
    published = backbone.weights()
    if published is None:
        return f"a state dict of backbone '{backbone.name}' (safetensors or torch)"
    return f"torchvision's state dict {published} (safetensors or torch)"


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # the unpickler raises almost anything on other files
        reason = (str(error).splitlines() or [""])[0]
        raise ConfigError(
            f"{path}: not a torch state dict of tensors only ({type(error).__name__}: {reason}); "
            "save the network's state_dict() with torch.save, or use safetensors"
        ) from None
    if not isinstance(loaded, dict) or not all(isinstance(t, Tensor) for t in loaded.values()):
        raise ConfigError(f"{path}: holds something else than named tensors; give a state dict")
    return dict(loaded)
