"""A finished model version: its weights and the card that describes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from workloads.artifacts import Artifact
from workloads.localization.cutoffs import Cutoffs
from workloads.methods.base import Method
from workloads.models.card import ModelCard
from workloads.models.version import load_network, read_card, retune_model


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

    def retuned(self, folder: Path, parameters: Mapping[str, Any]) -> Model:
        """The same weights with other cut-offs, in another folder.

        Args:
            parameters: values of `Cutoffs`; those that are not given stay.

        Raises:
            ConfigError: an unknown parameter or a bad value.
        """
        cutoffs = Cutoffs.parse({**self.card.cutoffs.model_dump(), **parameters}, "cut-offs")
        retune_model(self.folder, folder, cutoffs, {})
        return Model.open(folder)

    def network(self) -> Method:
        """The network with its weights, without what training needs.

        Raises:
            ConfigError: as `load_network` does.
        """
        return load_network(self.folder, self.card)
