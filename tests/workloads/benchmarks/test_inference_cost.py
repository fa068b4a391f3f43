"""Localization costs what CAM's does, and what is compared is what a model version holds."""

from __future__ import annotations

import pytest
import torch

from workloads.benchmarks import inference_cost
from workloads.benchmarks.registry import BENCHMARKS


def test_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference_cost, "BACKBONES", {"tiny": ("tiny", 41)})
    threads = torch.get_num_threads()
    report = BENCHMARKS["inference-cost"]()
    assert torch.get_num_threads() == threads
    assert report["name"] == "inference-cost"
    rows = report["rows"]
    assert [(r["backbone"], r["method"], r["baseline"]) for r in rows] == [
        ("tiny", "spg", "spg-plain"),
        ("tiny", "saliency-aware", "cam"),
    ]
    for row in rows:
        assert row["ratio"] == pytest.approx(row["baseline_ms"] / row["ms"], rel=0.2)
    assert report["ratio"] == min(row["ratio"] for row in rows)
    assert report["ratio"] > 0


def test_baselines_have_the_layers_of_what_they_are_compared_with() -> None:
    members = inference_cost.members("tiny")
    for method, baseline in inference_cost.BASELINES.items():
        assert shapes(members[method]) == shapes(members[baseline])


def shapes(method: torch.nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in method.state_dict().items()}
