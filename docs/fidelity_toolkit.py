"""A checkout of the toolkit `wsolevaluation`, made to run beside today's packages."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np


class Namespace(dict[str, Any]):
    """A dictionary with attributes, in place of the package `munch`."""

    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


class Toolkit(NamedTuple):
    """Modules of the toolkit.

    Attributes:
        evaluation, inference: its metrics, and what it does to a map before them.
        networks: its package of networks and methods.
    """

    evaluation: ModuleType
    inference: ModuleType
    networks: ModuleType


def load(checkout: Path) -> Toolkit:
    """The toolkit's modules, with what newer packages lack.

    It was written for numpy below 1.24, which had the names `float`, `int` and `bool`, and for
    torch below 1.9, of which it needs nothing that is gone.
    """
    munch: Any = ModuleType("munch")
    munch.Munch = Namespace
    sys.modules.setdefault("munch", munch)
    for name, kind in (("float", float), ("int", int), ("bool", bool)):
        if name not in vars(np):
            setattr(np, name, kind)
    sys.path.insert(0, str(checkout))
    return Toolkit(*map(importlib.import_module, ("evaluation", "inference", "wsol")))
