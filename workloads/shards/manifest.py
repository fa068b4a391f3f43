"""The manifest of a shard folder: what was listed, read and quarantined in each split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from workloads.artifacts import MANIFEST, read_manifest
from workloads.errors import IntegrityError, NotFound, unknown_name
from workloads.options import Options
from workloads.records import Task

SCHEMA_VERSION = 2


class ShardFile(Options):
    """One Parquet file and the number of images in it."""

    file: str
    rows: int


class SplitInfo(Options):
    """Counts of a split's images: `read + quarantined == listed`."""

    listed: int
    read: int
    quarantined: int
    shards: tuple[ShardFile, ...]
    label_counts: tuple[int, ...]  # images per class, difficult objects aside


class ShardManifest(Options):
    """The manifest of a shard folder, without its files and digest."""

    schema_version: int = SCHEMA_VERSION
    dataset: str
    task: Task
    classes: tuple[str, ...]
    splits: dict[str, SplitInfo]
    remarks: dict[str, int] = Field(
        default={}, description="what was read leniently or should be known, and how often"
    )


def read_shard_manifest(folder: Path) -> ShardManifest:
    """The manifest of finished shards.

    Raises:
        NotFound: the folder is missing or unfinished.
        IntegrityError: the shards are of another version of this program.
    """
    return parse_shard_manifest(read_manifest(folder, "shards"), folder)


def parse_shard_manifest(values: Mapping[str, Any], folder: Path) -> ShardManifest:
    """The facts of a manifest that was read, checked.

    Raises:
        IntegrityError: the shards are of another version of this program.
    """
    version = values.get("schema_version")
    if version != SCHEMA_VERSION:
        raise IntegrityError(
            f"{folder / MANIFEST}: schema version {version!r}, this program reads "
            f"{SCHEMA_VERSION}; ingest the data set again"
        )
    facts = {key: values[key] for key in ShardManifest.model_fields if key in values}
    return ShardManifest.parse(facts, str(folder / MANIFEST))


def shard_files(folder: Path, split: str) -> list[Path]:
    """The Parquet files of a split, in order.

    Raises:
        NotFound: no shards there, or no such split; the message names those that exist.
    """
    return files_of(read_shard_manifest(folder), folder, split)


def files_of(manifest: ShardManifest, folder: Path, split: str) -> list[Path]:
    """The Parquet files of a split of a manifest that was read, in order.

    Raises:
        NotFound: no such split; the message names those that exist.
    """
    splits = manifest.splits
    if split not in splits:
        raise NotFound(f"{folder}: {unknown_name('split', split, splits)}")
    return [folder / shard.file for shard in splits[split].shards]
