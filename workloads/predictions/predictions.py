"""Finished predictions: scores and maps of a model for the images of a split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from workloads.artifacts import Artifact
from workloads.predictions.store import Prediction, part_files, read_part


@dataclass(frozen=True)
class Predictions(Artifact):
    """Stored scores and maps; iteration gives them in the order of the parts."""

    kind: ClassVar[str] = "predictions"

    @property
    def rows(self) -> int:
        """Number of images."""
        return int(self.facts["rows"])

    @property
    def request(self) -> Mapping[str, Any]:
        """The request; empty where nothing is recorded."""
        request: Mapping[str, Any] = self.facts.get("request", {})
        return request

    def parts(self) -> list[Path]:
        """The Parquet files, in order; `store.read_part` reads one."""
        return part_files(self.folder)

    def __iter__(self) -> Iterator[Prediction]:
        for part in self.parts():
            yield from read_part(part)
