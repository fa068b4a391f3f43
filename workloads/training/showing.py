"""The making of samples: records in random views."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from workloads.errors import ConfigError, InputRejected, IntegrityError
from workloads.images.decode import ImageLimits, decode
from workloads.images.view import View
from workloads.methods.base import Need
from workloads.proposals.store import ProposalStore
from workloads.records import Record
from workloads.training.augmentation import Augmentation
from workloads.training.batch import Sample


@dataclass(frozen=True)
class Showing:
    """The making of samples: records in random views.

    Attributes:
        needs: what batches must hold beside labels.
        proposals: those of the split, for "saliency"; nothing else is read from them.

    Raises:
        ConfigError: images are turned and boxes are needed.
    """

    augmentation: Augmentation
    limits: ImageLimits = field(default_factory=ImageLimits)
    needs: frozenset[Need] = frozenset()
    proposals: ProposalStore | None = None

    def __post_init__(self) -> None:
        if "boxes" in self.needs and self.augmentation.rotation_deg:
            raise ConfigError(
                "the method learns from boxes, which cannot be turned: set train.rotation_deg to 0"
            )

    def sample(self, record: Record, rng: np.random.Generator, *, repeated: bool) -> Sample:
        """Decode a record and show it in a view that is drawn at random.

        Args:
            repeated: the epoch has shown it before, to balance classes.

        Raises:
            IntegrityError: its bytes are no longer an image.
        """
        view = self.augmentation.draw(rng, record.width, record.height, repeated=repeated)
        try:
            image = decode(record.image, self.limits)
        except InputRejected as error:
            raise IntegrityError(f"image '{record.image_id}' of the shards: {error}") from error
        return Sample(view.pixels(image), view, record, self._saliency(record, view))

    def _saliency(self, record: Record, view: View) -> NDArray[np.float32] | None:
        if "saliency" not in self.needs or self.proposals is None:
            return None
        saliency = self.proposals.saliency(record.image_id)
        return view.map01(saliency, record.width, record.height)
