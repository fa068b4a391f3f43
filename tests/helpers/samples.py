"""What integration tests work on: a model with random weights, images made on the fly."""

from __future__ import annotations

import io
import socket
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from orchestrator.config.settings import Settings
from workloads.localization.cutoffs import Cutoffs
from workloads.methods.registry import build_method
from workloads.models.card import ModelCard, Preprocessing
from workloads.models.version import save_model

CLASSES = ("disc", "bâr", "ring")


def make_model(folder: Path, seed: int) -> Path:
    """Save a small model with random weights."""
    torch.manual_seed(seed)
    method = build_method("cam", "tiny", len(CLASSES), "multilabel")
    backbone = method.backbone
    card = ModelCard(
        method="cam",
        method_options=method.options.model_dump(mode="json"),
        backbone="tiny",
        task="multilabel",
        classes=CLASSES,
        preprocessing=Preprocessing(size=64, mean=backbone.mean, std=backbone.std),
        cutoffs=Cutoffs(cutoff=0.4, score_threshold=0.2, box_rule="all"),
        cooccurrence=((1.0, 0.1, 0.2), (0.3, 1.0, 0.4), (0.5, 0.6, 1.0)),
        provenance={},
    )
    save_model(folder, method, card)
    return folder


def make_settings(workspace: Path, cluster: str = "inline") -> Settings:
    """Settings with small units of work and a free port."""
    return Settings.model_validate(
        {
            "cluster": cluster,
            "workspace": workspace,
            "resources": {"annotate": {"actors": 1, "chunk_images": 8}},
            "serve": {"port": free_port(), "max_request_mb": 1.0},
        }
    )


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def picture(seed: int, kind: str = "JPEG") -> bytes:
    """An image of bright rectangles on noise, of a size of its own."""
    rng = np.random.default_rng(seed)
    width, height = (int(v) for v in rng.integers(40, 160, 2))
    pixels = rng.integers(0, 90, (height, width, 3), dtype=np.uint8)
    for _ in range(3):
        x, y = int(rng.integers(0, width - 20)), int(rng.integers(0, height - 20))
        pixels[y : y + 20, x : x + 20] = rng.integers(120, 255, 3)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def make_images(folder: Path, count: int) -> Path:
    """A folder of images in subfolders."""
    for index in range(count):
        path = folder / f"part {index % 3}" / f"image '{index:04d}'.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(index))
    return folder
