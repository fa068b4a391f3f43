"""A finished model version: its weights and the card that describes them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from workloads.artifacts import Artifact
from workloads.methods.base import Method
from workloads.models.card import ModelCard
from workloads.models.version import load_network, read_card


@dataclass(frozen=True)
class Model(Artifact):
    """A model version; its digest is its name in the registry and in every result."""

    kind: ClassVar[str] = "model"

    @cached_property
    def card(self) -> ModelCard:
        """Classes, thresholds and preprocessing, read at the first use.

        Raises:
            NotFound, ConfigError: as `read_card` does.
        """
        return read_card(self.folder)

    def network(self) -> Method:
        """The network with its weights, without what training needs.

        Raises:
            ConfigError: as `load_network` does.
        """
        return load_network(self.folder, self.card)
