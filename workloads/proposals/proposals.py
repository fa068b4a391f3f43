"""Finished proposals: class-free boxes and saliency of the images of some splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from workloads.artifacts import Artifact
from workloads.proposals.store import ProposalStore, store_of


@dataclass(frozen=True)
class Proposals(Artifact):
    """Stored object proposals of shards."""

    kind: ClassVar[str] = "proposals"

    @property
    def shards_digest(self) -> str:
        """Content digest of their shards."""
        return str(self.facts["shards"])

    @property
    def images(self) -> Mapping[str, int]:
        """Split to its number of images."""
        images: Mapping[str, int] = self.facts["images"]
        return images

    @property
    def options(self) -> Mapping[str, Any]:
        """Options that they were made with: name to value, as JSON."""
        options: Mapping[str, Any] = self.facts["options"]
        return options

    def store(self, split: str) -> ProposalStore:
        """The proposals of one split, by image id.

        Raises:
            NotFound: there are none of that split; the message names others.
            IntegrityError: they are of another version of this program.
        """
        return store_of(self.folder, self.facts, split)
