"""A finished annotation: boxes for a folder of images, and what had to be left out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from workloads.artifacts import QUARANTINE, Artifact


@dataclass(frozen=True)
class Annotation(Artifact):
    """Boxes of every image of a folder; `listed` is always `read + quarantined`."""

    kind: ClassVar[str] = "annotation"

    @property
    def model_digest(self) -> str:
        """Content digest of the model that found the boxes."""
        return str(self.facts["model"]["digest"])

    @property
    def listed(self) -> int:
        """Files that were found."""
        return int(self.facts["listed"])

    @property
    def read(self) -> int:
        """Images that were annotated."""
        return int(self.facts["read"])

    @property
    def quarantined(self) -> int:
        """Files without annotations."""
        return int(self.facts["quarantined"])

    @property
    def gone(self) -> int:
        """Files that were annotated once and are not there any more."""
        return int(self.facts["gone"])

    @property
    def boxes(self) -> int:
        """Boxes in all images."""
        return int(self.facts["boxes"])

    @property
    def classes(self) -> dict[str, int]:
        """Boxes by class, of those that have some."""
        return dict(self.facts.get("classes", {}))

    @property
    def score_histogram(self) -> list[int]:
        """Class scores of all candidates, in bins of equal width from 0 to 1."""
        return list(self.facts.get("score_histogram", []))

    @property
    def images_per_s(self) -> float:
        """Speed at which it was made."""
        return float(self.facts["images_per_s"])

    @property
    def seconds(self) -> dict[str, float]:
        """Time by phase, of all threads together."""
        return dict(self.facts["seconds"])

    @property
    def formats(self) -> tuple[str, ...]:
        """Names of the formats that it was written in."""
        return tuple(self.facts["formats"])

    @property
    def quarantine(self) -> Path:
        """The list of files without annotations, JSON lines."""
        return self.folder / QUARANTINE
