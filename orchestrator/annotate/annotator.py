"""The actor of an annotation: it holds models and writes parts."""

from __future__ import annotations

import os
import socket
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from workloads.annotation.chunk import ChunkWork
from workloads.annotation.options import Kept
from workloads.annotation.phases import PHASES
from workloads.annotation.sources.registry import open_source
from workloads.annotation.store import AnnotationStore
from workloads.errors import IntegrityError
from workloads.images.decode import ImageLimits
from workloads.models.localizer import Localizer


class Target(BaseModel, frozen=True):
    """A model and the annotation that it fills.

    Attributes:
        model: its folder.
        digest: its content.
    """

    model: Path
    digest: str
    out: Path

    def localizer(self, device: str, threads: int) -> Localizer:
        """The model in memory.

        Raises:
            IntegrityError: it is another one by now.
        """
        found = Localizer.load(self.model, device=device, threads=threads)
        if found.digest != self.digest:
            raise IntegrityError(f"{self.model}: changed while it was used; restore it")
        return found


class Annotator:
    """Writes the parts of chunks; an image is read and decoded once for all models.

    Args:
        targets: as JSON; their annotations have one listing.
        images: the collection.
        limits, kept: as JSON.
    """

    def __init__(
        self,
        targets: list[dict[str, Any]],
        images: str,
        limits: dict[str, Any],
        kept: dict[str, Any],
        device: str,
        threads: int,
    ) -> None:
        self.targets = [Target.model_validate(one) for one in targets]
        self.images = Path(images)
        self.limits = ImageLimits(**limits)
        self.kept = Kept(**kept)
        self.device = device
        self.threads = threads

    def __call__(self, unit: dict[str, Any]) -> dict[str, Any]:
        """Write the parts of the chunk `index` for the targets whose numbers are in `wanted`.

        Returns:
            `images`, `quarantined` of them, the `worker`, and its `seconds` by phase.
        """
        index = int(unit["index"])
        # An actor may have been killed with this part written, and another behind it begun.
        wanted = [n for n in map(int, unit["wanted"]) if self.stores[n].is_missing(index)]
        quarantined = self._write(index, wanted) if wanted else 0
        phases = self.work.phases
        seconds, phases.seconds = phases.seconds, dict.fromkeys(PHASES, 0.0)
        return {
            "images": self.stores[0].listing.size(index),
            "quarantined": quarantined,
            "worker": f"{socket.gethostname()}:{os.getpid()}",
            "seconds": seconds,
        }

    def _write(self, index: int, wanted: list[int]) -> int:
        """Annotate a chunk; returns how many files were quarantined."""
        listing = self.stores[0].listing
        results = self.work.annotate(listing.chunk(index), listing.first_id(index), wanted)
        with self.work.phases("write"):
            for number, result in zip(wanted, results, strict=True):
                self.stores[number].write(index, result)
        return len(results[0].quarantined)

    # Loaded with the first chunk: of an error in a constructor, Ray keeps the text alone.
    @cached_property
    def work(self) -> ChunkWork:
        """The work on the files of a chunk."""
        finders = tuple(one.localizer(self.device, self.threads) for one in self.targets)
        return ChunkWork(finders, open_source(self.images), self.limits, self.kept, self.threads)

    @cached_property
    def stores(self) -> list[AnnotationStore]:
        """The stores that parts are written to."""
        return [AnnotationStore.open(one.out) for one in self.targets]
