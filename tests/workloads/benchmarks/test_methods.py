"""Benchmarks of methods compare ways to the same result, and report what they measured."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from workloads.benchmarks import oquab_scales
from workloads.benchmarks import soft_proposal as benchmark
from workloads.benchmarks.registry import BENCHMARKS


def test_all_baselines_find_the_proposal_of_the_closed_form() -> None:
    features = torch.rand(2, 8, 6, 5, generator=torch.Generator().manual_seed(0))
    positions, kernel = features.flatten(2), benchmark.spatial_kernel(6, 5)
    expected = benchmark.proposal(features, "stationary").flatten(1)
    for distances in (benchmark.cdist, benchmark.explicit, benchmark.by_product):
        found = benchmark.power_iteration(distances(positions), kernel)
        torch.testing.assert_close(found, expected, rtol=0.03, atol=0)
    many = partial(benchmark.power_iteration, benchmark.cdist(positions), kernel)
    # What is left is the iteration's: with more of it the two agree.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "MAX_ITERATIONS", 2000)
        torch.testing.assert_close(many(), expected, rtol=1e-4, atol=0)


def test_the_report_on_the_soft_proposal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "SHAPE", (4, 256, 14, 14))
    monkeypatch.setattr(benchmark, "STEP_SIZE", 32)
    monkeypatch.setitem(benchmark.REPEATS, "usual", 7)
    threads = torch.get_num_threads()
    report = BENCHMARKS["soft-proposal"]()
    assert torch.get_num_threads() == threads
    assert report["name"] == "soft-proposal"
    assert report["max_difference"] < 0.01
    expected = report["cdist_20_steps_ms"] / report["stationary_ms"]
    assert report["ratio"] == pytest.approx(expected, rel=0.5)  # a median of ratios, not of times
    assert report["ratio"] > 0
    assert report["over_matrix_product"] == pytest.approx(
        report["stationary_ms"] / report["matrix_product_ms"], rel=0.5
    )
    assert 0 < report["step_share"] < 0.2  # the smaller the input, the larger


def test_the_report_on_oquabs_scales(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oquab_scales, "BACKBONE", "tiny")
    monkeypatch.setattr(oquab_scales, "SIZE", 96)
    monkeypatch.setitem(oquab_scales.REPEATS, "usual", 1)
    threads = torch.get_num_threads()
    report = BENCHMARKS["oquab-scales"]()
    assert torch.get_num_threads() == threads
    assert report["name"] == "oquab-scales"
    assert report["max_difference"] < 1e-6
    assert report["ratio"] == pytest.approx(report["single_scales_ms"] / report["six_scales_ms"])
    assert report["added"] == pytest.approx(1 / report["ratio"] - 1)
    assert report["ratio"] > 0
    # Windows of 32 at steps of 8 on 48 (3), 67 (6), 96 (9), 134 (14), 192 (21) and 269 (31).
    assert report["windows"] == 9 + 36 + 81 + 196 + 441 + 961
