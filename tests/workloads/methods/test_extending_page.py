"""The method of docs/extending.md is one: it learns, localizes, and is saved and loaded."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch

from workloads.backbones.tiny import Tiny
from workloads.localization.cutoffs import Cutoffs
from workloads.methods.base import Method, Targets
from workloads.methods.registry import METHODS
from workloads.models.card import ModelCard, Preprocessing
from workloads.models.localizer import Localizer
from workloads.models.version import save_model

PAGE = Path(__file__).resolve().parents[3] / "docs" / "extending.md"


def mine() -> type[Method]:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    names: dict[str, object] = {"__name__": "mine"}
    exec(compile(code, str(PAGE), "exec"), names)
    kind = names["Mine"]
    assert isinstance(kind, type)
    assert issubclass(kind, Method)
    return kind


def test_it_is_a_method(tmp_path: Path, monkeypatch) -> None:
    kind = mine()
    method = kind(Tiny(), 2, "multilabel", kind.options_type())
    labels = torch.tensor([[1.0, 0.0]])
    targets = Targets(labels)
    loss = method.loss(method(torch.randn(1, 3, 64, 64), targets), targets)["classes"]
    loss.backward()
    assert method.classes.weight.grad.abs().sum() > 0

    monkeypatch.setitem(METHODS._entries, kind.name, kind)
    card = ModelCard(
        method=kind.name, method_options={}, backbone="tiny", task="multilabel",
        classes=("cat", "dog"),
        preprocessing=Preprocessing(size=64, mean=method.backbone.mean, std=method.backbone.std),
        cutoffs=Cutoffs(score_threshold=0.0), cooccurrence=((1.0, 0.0), (0.0, 1.0)), provenance={},
    )  # fmt: skip
    save_model(tmp_path / "model", method, card)
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    (found,) = Localizer.load(tmp_path / "model").detect([image])
    assert (found.width, found.height) == (64, 48)
    assert set(found.labels.tolist()) <= {0, 1}
    assert len(found.labels) >= 1
