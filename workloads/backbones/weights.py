"""Weights from files on this machine; nothing is downloaded."""

from __future__ import annotations

import difflib
import hashlib
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from workloads.backbones.base import Backbone
from workloads.backbones.saved_weights import state_dict_in, why_unreadable, without_prefix
from workloads.errors import ConfigError, IntegrityError, NotFound
from workloads.files import is_file, read_bytes
from workloads.storage.addresses import is_address
from workloads.tensors import load_exactly, read_tensors

if TYPE_CHECKING:
    from torchvision import models

# torchvision ends its file names in the first digits of the file's SHA-256, "vgg16-397923af.pth".
_HASH = re.compile(r"-([0-9a-f]{8,})\.")
_COUNTER = ".num_batches_tracked"


def load_weights(backbone: Backbone, path: Path) -> None:
    """Initialise a backbone from a safetensors file or a torch state dict.

    Every tensor is accounted for: the backbone's own must all be there with their shapes, those
    it names in `ignored_weights` (a classifier, say) may be, others may not. Only the counters of
    batch normalisation may be missing, see `with_counters`.

    Raises:
        NotFound: no such file; the message says which file to place there.
        ConfigError: not a state dict, or tensors are missing, unexpected or of another shape.
    """
    if not path.is_file():
        raise NotFound(f"{path}: no such file; place {_wanted(backbone)} there")
    ignored = backbone.ignored_weights()
    tensors = backbone.adapted(read_weights(path))
    used = {name: t for name, t in tensors.items() if name not in ignored}
    load_exactly(backbone, with_counters(backbone, used), str(path))


def published_file(wanted: Backbone | str) -> Path:
    """Path of torchvision's published weights on this machine, after a check of the file.

    Args:
        wanted: their name, such as "VGG16_Weights.IMAGENET1K_V1", or the backbone that they are
            for.

    Returns:
        The file in the folder `checkpoints` of `torch.hub.get_dir()`, which TORCH_HOME moves.

    Raises:
        ConfigError: torchvision has no weights of that name, or none for that backbone.
        NotFound: the file is not there; the message says which one to place where.
        IntegrityError: the file's SHA-256 is not the one in its name.
    """
    name = wanted if isinstance(wanted, str) else _imagenet_weights(wanted)
    path = Path(torch.hub.get_dir()) / "checkpoints" / file_name(_published(name))
    if not path.is_file():
        raise NotFound(
            f"{path}: no such file; place torchvision's {name} there under this name, or give "
            "the path of another file"
        )
    check_hash(path)
    return path


def file_name(weights: models.WeightsEnum) -> str:
    """The name under which torchvision publishes weights."""
    return str(weights.url).rpartition("/")[2]


def check_hash(path: Path) -> None:
    """Compare a file with the hash that its name states; a name without one is not checked.

    Raises:
        IntegrityError: the file's SHA-256 begins otherwise.
    """
    stated = _HASH.search(path.name)
    if stated is None:
        return
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(stated[1]):
        raise IntegrityError(
            f"{path}: its SHA-256 begins with {digest[: len(stated[1])]}, not with the "
            f"{stated[1]} of its name; copy the file again"
        )


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, on the CPU.

    A file that ends in `.safetensors` is read as such, any other with
    `torch.load(weights_only=True)`, which runs no code from the file. Of a checkpoint the state
    dict is taken, and names lose what a wrapper put before all of them (`module.`).

    Raises:
        NotFound: no such file.
        ConfigError: not a state dict.
        IntegrityError: the name says safetensors, the content does not.
    """
    if not is_file(path):
        raise NotFound(f"{path}: no such file; correct the path")
    tensors = read_tensors(path) if path.suffix == ".safetensors" else _read_state_dict(path)
    return without_prefix(tensors)


def with_counters(module: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors for a module, those of its `num_batches_tracked` that are missing added as they are.

    Files from before torch counted the batches of batch normalisation have no such tensors, some
    of torchvision's among them. With the usual fixed momentum the count has no effect.
    """
    counters = {name: t for name, t in module.state_dict().items() if name.endswith(_COUNTER)}
    return counters | dict(tensors)


def _imagenet_weights(backbone: Backbone) -> str:
    name = backbone.weights()
    if name is None:
        raise ConfigError(
            f"backbone {backbone.name}: torchvision has no ImageNet weights for it; give a file "
            "with --initial or start from random weights"
        )
    return name


def _published(name: str) -> models.WeightsEnum:
    from torchvision import models

    try:
        return models.get_weight(name)
    except (ValueError, KeyError):
        known = [
            str(weights)
            for model in models.list_models(module=models)
            for weights in models.get_model_weights(model)
        ]
        near = ", ".join(difflib.get_close_matches(name, known, n=3, cutoff=0.5))
        hint = f"the nearest are {near}" if near else "a name is like VGG16_Weights.IMAGENET1K_V1"
        raise ConfigError(f"torchvision has no weights '{name}'; {hint}") from None


def _wanted(backbone: Backbone) -> str:
    published = backbone.weights()
    if published is None:
        return f"a state dict of backbone '{backbone.name}' (safetensors or torch)"
    return f"torchvision's state dict {published} (safetensors or torch)"


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    try:
        source = io.BytesIO(read_bytes(path)) if is_address(path) else path
        loaded = torch.load(source, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # the unpickler raises almost anything on other files
        raise ConfigError(
            f"{path}: not a torch state dict of tensors only ({why_unreadable(error)}); "
            "save the network's state_dict() with torch.save, or use safetensors"
        ) from None
    loaded = state_dict_in(loaded)
    if not isinstance(loaded, dict) or not all(isinstance(t, Tensor) for t in loaded.values()):
        raise ConfigError(f"{path}: holds something else than named tensors; give a state dict")
    return loaded
