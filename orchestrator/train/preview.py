"""Maps and boxes on a few validation images, while a network is trained."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from orchestrator.train.spec import TrainSpec, build
from workloads.artifacts import atomic_file
from workloads.images.decode import decode
from workloads.images.drawing import captioned, fit, grid
from workloads.methods.base import Method
from workloads.models.localizer import Localizer
from workloads.predictions.drawing import draw_map
from workloads.recipes.describe import describe
from workloads.records import Record
from workloads.shards.shards import Shards

IMAGES, COLUMNS, SIDE = 8, 4, 192


class Preview:
    """A picture that every epoch draws again, with a network of its own on the CPU."""

    def __init__(self, spec: TrainSpec, path: Path) -> None:
        self.spec, self.path = spec, path
        records = Shards.open(spec.shards).records(spec.val_split)
        self.records = list(islice((r for r in records if r.truth.labels), IMAGES))
        self.network = build(spec) if self.records else None

    def draw(self, method: Method) -> None:
        """The network as it is now; what cannot be written is not shown."""
        if self.network is None:
            return
        self.network.load_state_dict(method.state_dict())
        threads = torch.get_num_threads()  # a localizer changes it
        try:
            localizer = self._localizer(self.network)
            cells = [_cell(localizer, record, self.spec) for record in self.records]
        finally:
            torch.set_num_threads(threads)
        with suppress(OSError), atomic_file(self.path) as file:
            Image.fromarray(grid(cells, COLUMNS)).save(file, "JPEG", quality=90)

    def _localizer(self, network: Method) -> Localizer:
        spec = self.spec
        alone = np.eye(len(spec.classes))  # boxes need no co-occurrence
        return Localizer(network, describe(network, spec.recipe, spec.classes, alone), digest="")


def _cell(localizer: Localizer, record: Record, spec: TrainSpec) -> NDArray[np.uint8]:
    """The map of the first class of an image, with the true boxes and those of the cut-offs."""
    label = record.truth.labels[0]
    image = decode(record.image, spec.limits)
    (response,) = localizer.predict([image], lambda *_: [label])
    shown = draw_map(
        fit(image, SIDE), response.maps_of(label), label, (record.width, record.height),
        record.truth.boxes_of(label), localizer.card.cutoffs, response.regions_xyxy,
    )  # fmt: skip
    return captioned(shown, f"{spec.classes[label]} {response.scores[label]:.2f}")
