"""Data sets, by name. Adding one is one module and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workloads.datasets.base import Dataset
from workloads.datasets.coco import Coco2014, Coco2017
from workloads.datasets.cub import Cub
from workloads.datasets.digits import Digits, SingleDigits
from workloads.datasets.folder import Folder
from workloads.datasets.ilsvrc import Ilsvrc
from workloads.datasets.table import Table
from workloads.datasets.toolkit import ToolkitMetadata
from workloads.datasets.voc import Voc2007, Voc2012
from workloads.registry import Registry

DATASETS: Registry[type[Dataset]] = Registry(
    "data set",
    {
        Digits.name: Digits,
        SingleDigits.name: SingleDigits,
        Voc2007.name: Voc2007,
        Voc2012.name: Voc2012,
        Coco2014.name: Coco2014,
        Coco2017.name: Coco2017,
        Ilsvrc.name: Ilsvrc,
        Cub.name: Cub,
        ToolkitMetadata.name: ToolkitMetadata,
        Folder.name: Folder,
        Table.name: Table,
    },
)


def open_dataset(name: str, root: Path, options: Mapping[str, Any] | None = None) -> Dataset:
    """Open a data set by name.

    Raises:
        ConfigError: no such data set or option; the message names those that exist.
        NotFound: it is not at `root`.
    """
    kind = DATASETS[name]
    return kind(root, kind.options_type.parse(options, f"data set {name}"))
