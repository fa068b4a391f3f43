"""Finished shards: a data set as checked images with their truth, by split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from workloads.artifacts import Artifact
from workloads.errors import ConfigError
from workloads.records import Record, Task
from workloads.shards.cooccurrence import cooccurrence_of
from workloads.shards.manifest import ShardManifest, SplitInfo, files_of, parse_shard_manifest
from workloads.shards.read import RowGroup, records_of, row_groups_of


@dataclass(frozen=True)
class Shards(Artifact):
    """Shards, the form in which every other part of the project reads a data set."""

    kind: ClassVar[str] = "shards"

    @cached_property
    def manifest(self) -> ShardManifest:
        """Counts of what was listed, read and quarantined.

        Raises:
            IntegrityError: the shards are of another version of this program.
        """
        return parse_shard_manifest(self.facts, self.folder)

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return self.manifest.dataset

    @property
    def task(self) -> Task:
        """Whether an image has one label or several."""
        return self.manifest.task

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, by label."""
        return self.manifest.classes

    @property
    def splits(self) -> dict[str, SplitInfo]:
        """Counts of the images of each split."""
        return self.manifest.splits

    def require_positives(self, split: str) -> None:
        """See that there is something to learn: an image of a split with an object not difficult.

        Raises:
            ConfigError: none of its images has a class.
            NotFound: as `files` does.
        """
        self.files(split)
        info = self.splits[split]
        if not sum(info.label_counts):
            raise ConfigError(
                f"{self.folder}: none of the {info.read} images of split '{split}' has a class, so "
                "nothing can be learned from it; see that the labels belong to the images and "
                "ingest again, or choose another split"
            )

    def files(self, split: str) -> list[Path]:
        """The Parquet files of a split, in order.

        Raises:
            NotFound: no such split; the message names those that exist.
        """
        return files_of(self.manifest, self.folder, split)

    def row_groups(self, split: str) -> list[RowGroup]:
        """All row groups of a split, in order.

        Raises:
            NotFound: as `files` does.
        """
        return row_groups_of(self.files(split))

    def records(self, split: str) -> Iterator[Record]:
        """The records of a split, in order, a row group at a time.

        Raises:
            NotFound: as `files` does.
        """
        return records_of(self.files(split))

    def cooccurrence(self, split: str) -> NDArray[np.float64]:
        """(K, K) float64, entry [i, j] is p(i | j), see `cooccurrence_of`.

        Raises:
            NotFound: as `files` does.
            IntegrityError: a label is not below the number of classes.
        """
        return cooccurrence_of(self.files(split), len(self.classes))
