"""Kinds of collections. Adding one is one file and one line here; the first that fits is taken."""

from __future__ import annotations

from pathlib import Path

from workloads.annotation.sources.base import Source
from workloads.annotation.sources.file_list import FileList
from workloads.annotation.sources.folder import Folder
from workloads.annotation.sources.glob import Glob
from workloads.annotation.sources.parquet import ParquetFiles
from workloads.annotation.sources.tar import TarFiles
from workloads.registry import Registry

SOURCES: Registry[type[Source]] = Registry(
    "kind of collection",
    {kind.kind: kind for kind in (TarFiles, ParquetFiles, Glob, FileList, Folder)},
)


def open_source(path: Path) -> Source:
    """The collection that a path means, by its looks."""
    return next(kind for _, kind in SOURCES.items() if kind.takes(path))(path)
