"""The endpoint, `annotate` and `evaluate` find the same boxes, for every registered method."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
import torch
from samples import CLASSES, picture
from small_methods import tiny

from orchestrator.config.settings import Serving, Settings
from orchestrator.serve.api.host import Answer, Ask
from orchestrator.serve.hosting.offers import make_offer
from orchestrator.serve.hosting.worker import Worker
from workloads.annotation.chunk import ChunkWork
from workloads.annotation.options import Kept
from workloads.annotation.selection import Selection
from workloads.annotation.sources.registry import open_source
from workloads.images.decode import ImageLimits, decode
from workloads.localization.cutoffs import Cutoffs
from workloads.methods.registry import METHODS
from workloads.models.card import ModelCard, Preprocessing
from workloads.models.localizer import Localizer
from workloads.models.version import save_model

LIMITS = ImageLimits()


def make(folder: Path, name: str) -> Path:
    torch.manual_seed(7)
    method = tiny(name)
    card = ModelCard(
        method=name,
        method_options=method.options.model_dump(mode="json"),
        backbone="tiny",
        task="multilabel",
        classes=CLASSES,
        preprocessing=Preprocessing(size=64, mean=method.backbone.mean, std=method.backbone.std),
        cutoffs=Cutoffs(score_threshold=0.01, box_rule="all"),
        cooccurrence=tuple((0.0,) * len(CLASSES) for _ in CLASSES),
        provenance={},
    )
    save_model(folder, method, card)
    return folder


@pytest.mark.parametrize("name", list(METHODS))
def test_three_verbs_find_the_same_boxes(name: str, tmp_path: Path) -> None:
    model, images = make(tmp_path / "model", name), tmp_path / "images"
    images.mkdir()
    for seed in range(2):
        (images / f"{seed}.jpg").write_bytes(picture(seed))
    localizer = Localizer.load(model)

    offer = make_offer(Settings(), "m", str(model))
    worker = Worker(Serving(), LIMITS)

    async def served() -> list[Answer]:
        files = sorted(images.iterdir())
        return [await worker.answer(offer, file.read_bytes(), Ask()) for file in files]

    source = open_source(images)
    (chunk,) = ChunkWork((localizer,), source, LIMITS, Kept()).annotate(source.files(), 1)
    selection = Selection.of(localizer.card.cutoffs, CLASSES)
    evaluated = localizer.detect([decode(p.read_bytes(), LIMITS) for p in sorted(images.iterdir())])
    answers = asyncio.run(served())
    assert sum(map(len, evaluated)) > 0
    for answer, row, truth in zip(answers, chunk.rows, evaluated, strict=True):
        for found in (answer.detections, selection.apply(row).detections):
            np.testing.assert_array_equal(found.boxes_xyxy, truth.boxes_xyxy)
            np.testing.assert_array_equal(found.scores, truth.scores)
            np.testing.assert_array_equal(found.labels, truth.labels)
