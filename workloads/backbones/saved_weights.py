"""State dicts as people's training scripts save them: inside a checkpoint, under longer names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

INNER = ("state_dict", "model_state_dict", "model")  # of a checkpoint that holds more than weights
PREFIXES = ("module.", "_orig_mod.", "model.")  # of DataParallel, torch.compile, Lightning
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def state_dict_in(loaded: Any) -> Any:
    """The part of a loaded file that is a state dict; the file itself if none is."""
    if isinstance(loaded, Mapping):
        for key in INNER:
            if is_state_dict(loaded.get(key)):
                return loaded[key]
    return loaded


def is_state_dict(value: Any) -> bool:
    """Whether a value is named tensors, at least one."""
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(tensor, Tensor) for tensor in value.values())
    )


def without_prefix(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors without what a wrapper put before the name of every one of them."""
    for prefix in PREFIXES:
        if tensors and all(name.startswith(prefix) for name in tensors):
            return without_prefix({n.removeprefix(prefix): t for n, t in tensors.items()})
    return dict(tensors)


def why_unreadable(error: Exception) -> str:
    """The reason of torch for not reading a file, in one line."""
    text = _ESCAPES.sub("", str(error))
    if "Unsupported global" in text or "Unsupported class" in text or "weights_only" in text:
        return "it holds objects beside tensors, a whole network say, whose code would have to run"
    return (text.splitlines() or [type(error).__name__])[0]
