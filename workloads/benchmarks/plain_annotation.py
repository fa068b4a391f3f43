"""A plain annotation to measure against: images and a model that are made, and a loop over them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from PIL import Image

from workloads.annotation.options import Kept
from workloads.backbones.normalizer import InputNormalizer
from workloads.benchmarks.extent import Extent
from workloads.detections import Detections
from workloads.images.decode import ImageLimits, decode
from workloads.images.view import View
from workloads.localization.candidates import find_candidates, wanted_classes
from workloads.localization.cutoffs import Cutoffs
from workloads.methods.registry import build_method
from workloads.models.card import ModelCard, Preprocessing
from workloads.models.model import Model
from workloads.models.version import save_model

CLASSES = 20
DIFFERENT = 50  # images that are made; the others are links to them
SIZE = (400, 350)  # width and height, pixels
THRESHOLD = 0.052  # of random weights, two of the classes reach it


class Run(NamedTuple):
    """One network: side of its input, and how many images are annotated in how many rounds."""

    side: int
    images: dict[Extent, int]
    rounds: dict[Extent, int]


SMALL, LARGE = "tiny", "vgg16"
"""Backbones: one where everything around the network shows, and one of the papers."""

RUNS = {
    SMALL: Run(
        64, {"quick": 300, "usual": 2_000, "full": 10_000}, {"quick": 1, "usual": 3, "full": 5}
    ),
    LARGE: Run(224, {"quick": 0, "usual": 96, "full": 400}, {"quick": 0, "usual": 1, "full": 3}),
}


class PlainLoop:
    """Images to boxes as a script would do it, one after the other."""

    def __init__(self, model: Model) -> None:
        chosen = model.card.preprocessing
        self.cutoffs = model.card.cutoffs
        self.together = np.asarray(model.card.cooccurrence)
        self.method = model.network().eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.normalize = InputNormalizer(chosen.mean, chosen.std)
        self.view = View(chosen.size)
        self.limits, self.kept = ImageLimits(), Kept()

    def boxes(self, file: Path) -> int:
        """Number of boxes of one image, with candidates as an annotation keeps them."""
        kept = self.kept
        return len(self.detections(file.read_bytes(), kept.min_score, kept.classes_per_image))

    @torch.inference_mode()
    def detections(self, data: bytes, floor: float = 0.0, most: int = 0) -> Detections:
        """Boxes of one image file.

        Args:
            floor, most: as of `wanted_classes`; by default of the classes that are present.
        """
        image = decode(data, self.limits)
        height, width = image.shape[:2]
        pixels = torch.from_numpy(self.view.pixels(image))[None]
        answer = self.method.localize(self.normalize(pixels))
        scores = answer.scores[0].numpy()
        labels = wanted_classes(scores, self.cutoffs, floor, most)
        (maps,) = answer.maps_of([labels])
        of_label = {k: tuple(one[i].numpy() for one in maps) for i, k in enumerate(labels)}
        found = find_candidates(
            scores, labels, of_label.__getitem__, width, height, self.cutoffs, self.together
        )
        return found.detections


def make_images(folder: Path, count: int) -> list[Path]:
    """So many JPEG files of which a few differ."""
    rng = np.random.default_rng(0)
    files = [folder / f"{number:06d}.jpg" for number in range(count)]
    folder.mkdir(parents=True)
    for number, file in enumerate(files):
        if number >= DIFFERENT:
            os.link(files[number % DIFFERENT], file)
            continue
        coarse = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(cv2.resize(coarse, SIZE)).save(file, "JPEG")
    return files


def make_small_model(folder: Path) -> Path:
    """CAM with random weights on the smallest network."""
    return make_model(folder, SMALL, RUNS[SMALL].side)


def make_model(folder: Path, backbone: str, side: int) -> Path:
    """CAM with random weights."""
    torch.manual_seed(0)
    method = build_method("cam", backbone, CLASSES, "singlelabel")
    own = method.backbone
    card = ModelCard(
        method="cam",
        method_options=method.options.model_dump(mode="json"),
        backbone=backbone,
        task="singlelabel",
        classes=tuple(f"class {k}" for k in range(CLASSES)),
        preprocessing=Preprocessing(size=side, mean=own.mean, std=own.std),
        cutoffs=Cutoffs(score_threshold=THRESHOLD),
        cooccurrence=tuple((0.0,) * CLASSES for _ in range(CLASSES)),
        provenance={},
    )
    save_model(folder, method, card)
    return folder
