"""Data sets, by name. Adding one is one module and one line here."""

from __future__ import annotations

from pathlib import Path

from workloads.datasets.base import Dataset
from workloads.datasets.digits import Digits, SingleDigits
from workloads.datasets.voc import Voc2007
from workloads.registry import Registry

DATASETS: Registry[type[Dataset]] = Registry(
    "data set",
    {
        Digits.name: Digits,
        SingleDigits.name: SingleDigits,
        Voc2007.name: Voc2007,
    },
)


def open_dataset(name: str, root: Path) -> Dataset:
    """Open a data set by name.

    Raises:
        ConfigError: no such data set; the message names those that exist.
        NotFound: it is not at `root`.
    """
    return DATASETS[name](root)
