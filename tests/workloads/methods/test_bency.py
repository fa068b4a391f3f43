"""The beam search on a network: against a plain search, and on a network whose answer is known."""

from __future__ import annotations

from functools import partial
from math import log
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from workloads.backbones.base import Backbone, Stage
from workloads.backbones.registry import BACKBONES
from workloads.benchmarks import bency
from workloads.benchmarks.registry import BENCHMARKS
from workloads.errors import ConfigError
from workloads.localization.maps import upsample
from workloads.localization.points import peak
from workloads.methods.base import Localization
from workloads.methods.bency.beam_search import Tracks
from workloads.methods.bency.bency import Bency, BencyOptions, shared_probability_loss
from workloads.methods.bency.sub_grids import crops
from workloads.methods.registry import build_method

CLASSES = 3
# Small enough for seconds, large enough that beams of classes differ.
SMALL = {"beam_width": 3, "levels": 4, "cells": 2}
FEATURES = ["reuse", "recompute"]


@pytest.fixture(autouse=True)
def _few_hidden_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BACKBONES["tiny"], "hidden_channels", 32)


def method_of(task: str = "multilabel", **options: Any) -> Bency:
    method = build_method("bency", "tiny", CLASSES, task, "tiny", {**SMALL, **options})
    assert isinstance(method, Bency)
    return method.eval()


def images_of(count: int, height: int = 32, width: int = 32) -> Tensor:
    coarse = torch.randn(count, 3, 8, 8)
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")


def maps_of(answer: Localization, *labels: int) -> Tensor:
    """(B, n, H, W)"""
    wanted = [labels or range(CLASSES)] * len(answer.scores)
    return torch.stack([maps for (maps,) in answer.maps_of(wanted)])


class Brightness(Backbone):
    """Mean brightness of 4x4 pixels; its one hidden channel is the mean over the grid."""

    name, out_channels, stride, input_size = "brightness", 1, 4, 16
    stage_channels: ClassVar = {"mean": 1}
    has_fully_connected, grid, hidden_channels = True, 4, 1

    def stages(self) -> dict[str, Stage]:
        return {"mean": lambda x: torch.nn.functional.avg_pool2d(x.mean(1, keepdim=True), 4)}

    def hidden(self, features: Tensor) -> Tensor:
        assert features.shape[2:] == (4, 4)
        return features.mean((2, 3), keepdim=True)


def brightness(**options: Any) -> Bency:
    """One class, whose logit is the mean brightness of what is seen."""
    backbone = Brightness(fully_connected=True)
    method_options = BencyOptions(adaptation=None, output="sigmoid", **options)
    method = Bency(backbone, 1, "multilabel", method_options).eval()
    method.classifier.weight.data.fill_(1)
    method.classifier.bias.data.fill_(0)
    return method


def spot(y0: int, x0: int, y1: int, x1: int, size: int = 16) -> Tensor:
    image = torch.zeros(1, 3, size, size)
    image[:, :, y0:y1, x0:x1] = 1
    return image


@pytest.mark.parametrize("features", FEATURES)
def test_it_finds_what_a_plain_search_finds(features: str) -> None:
    """In float64: with float32, batch sizes round differently, and near ties may turn."""
    method = method_of(features=features).double()
    with torch.inference_mode():
        found = bency.compared(method, images_of(1).double())
    assert found == bency.Compared(identical_regions=1, identical_boxes=1, max_difference=0)


def search(method: Bency, image: Tensor) -> list[list[tuple[list[float], float]]]:
    """The boxes that each level keeps for class 0, with 16 times their logit."""
    features, tracks = method.backbone(image), Tracks.of([0], [0])
    levels = method.regions(partial(crops, image), features, method(image)["logits"], tracks)
    return [
        list(zip(level.boxes[0].tolist(), (16 * level.scores[0]).tolist(), strict=True))
        for level in levels
    ]


# 16x16 pixels are 4x4 positions; the spot is the one in row 1, column 2. Three positions resized
# to four weigh 11/8, 10/8, 11/8, two of them 2 and 2. So the first level cuts off what makes the
# spot an outer position: the right column, or the top row.
SPOT = (4, 8, 8, 12)
FIRST = [([0, 0, 3, 4], 11 / 8), ([0, 1, 4, 4], 11 / 8)]


def test_reused_features_by_hand() -> None:
    method = brightness(features="reuse", beam_width=2, levels=2)
    whole, first, second = search(method, spot(*SPOT))
    assert (whole, first) == ([([0, 0, 4, 4], 1)], FIRST)
    assert second == [([0, 1, 4, 3], 2), ([1, 0, 3, 4], 2)]


def test_recomputed_features_by_hand() -> None:
    """Each side of a crop is cut by a quarter of itself, and scored on the crop's own map.

    Of 16 pixels across 12 pixels of the image, those around the spot have brightness 0, 3/8, 1,
    1, 1, 1, 7/8: the last is half a pixel from the crop's edge and sees past it. On the crop
    without the right column that is a row of 21/16 positions, and an outer one for the child
    without the top row. On the crop without the top row, mirrored, it is a column of 31/32 and
    11/32 positions, the first an outer one for the child without the bottom row.
    """
    method = brightness(features="recompute", beam_width=2, levels=2)
    whole, first, second = search(method, spot(*SPOT))
    assert (whole, first) == ([([0, 0, 4, 4], 1)], FIRST)
    assert [box for box, _ in second] == [[0, 1, 3, 4], [0, 1, 4, 3.25]]
    expected = [11 / 8 * 21 / 16, 11 / 8 * 31 / 32 + 10 / 8 * 11 / 32]
    assert [score for _, score in second] == pytest.approx(expected)


def test_the_heat_map_by_hand() -> None:
    first, second, whole = (float(torch.tensor(x / 16).sigmoid()) for x in (11 / 8, 2, 1))
    expected = np.full((4, 4), whole)
    expected[:, 0:3] += first
    expected[1:4, :] += first
    expected[1:3, :] += second
    expected[:, 1:3] += second
    expected /= 5  # the whole image and twice two regions
    for cells in (1, 5):
        method = brightness(features="reuse", beam_width=2, levels=2, cells=cells)
        heat = maps_of(method.localize(spot(*SPOT)), 0)[0, 0].numpy()
        assert heat.shape == (4 * cells, 4 * cells)
        np.testing.assert_allclose(heat, np.kron(expected, np.ones((cells, cells))), rtol=2e-3)
        # The hottest are four positions around the image's centre; so is the peak.
        x, y = peak(upsample(heat, 16, 16))
        assert max(abs(x - 8), abs(y - 8)) <= max(2 / cells, 0.5)


def test_scores_of_the_whole_image_raise_the_map_as_a_whole() -> None:
    image, options = spot(*SPOT), {"features": "reuse", "beam_width": 2, "levels": 2, "cells": 1}
    with_root = maps_of(brightness(**options).localize(image), 0)
    without = maps_of(brightness(**options, root_counts=False).localize(image), 0)
    torch.testing.assert_close(
        5 * with_root - 4 * without,
        torch.full_like(without, 1 / 16).sigmoid(),
        atol=1e-2,
        rtol=0,
    )


def test_greedy_keeps_one_region_and_none_does_not_search() -> None:
    image = images_of(1)
    greedy = method_of(strategy="greedy")
    narrow = method_of(beam_width=1)
    narrow.load_state_dict(greedy.state_dict())
    assert torch.equal(maps_of(greedy.localize(image)), maps_of(narrow.localize(image)))

    answer = method_of(strategy="none", root_counts=False).localize(image)
    maps = maps_of(answer)
    torch.testing.assert_close(
        maps, answer.scores[:, :, None, None].expand_as(maps), rtol=2e-3, atol=0
    )
    assert [peak(m.numpy()) for m in maps[0]] == [(4.5, 4.5)] * CLASSES  # the centre is 4


def test_heat_as_confidence() -> None:
    images = images_of(2)
    method = method_of()
    maps = maps_of(method.localize(images))
    by_heat = method_of(confidence="heat")
    by_heat.load_state_dict(method.state_dict())
    answer = by_heat.localize(images)
    assert torch.equal(maps_of(answer), maps)
    torch.testing.assert_close(maps_of(answer, 2, 0), maps[:, [2, 0]])
    torch.testing.assert_close(answer.scores, maps.amax((2, 3)), rtol=2e-3, atol=0)

    # All scores are 1 and, ties going left and up, all regions have the first position.
    sure = brightness(features="reuse", confidence="heat", beam_width=2, levels=2)
    assert sure.localize(torch.full((1, 3, 16, 16), 50.0)).scores.item() == 1


def test_crops_are_cut_from_what_it_is_given_unless_it_keeps_to_its_input() -> None:
    image, asked = images_of(1), []

    def from_image(rows: Tensor, shares: np.ndarray) -> Tensor:
        asked.append(shares)
        return crops(image, rows, shares)

    for options, asks in (({}, True), ({"crops": "input"}, False), ({"features": "reuse"}, False)):
        method = method_of(**{"features": "recompute", **options})
        assert method.crops_images == asks
        asked.clear()
        answer = maps_of(method.localize_cropping(image, None, from_image))
        assert bool(asked) == asks
        assert torch.equal(answer, maps_of(method.localize(image)))
    assert not method_of(features="recompute", strategy="none").crops_images


def test_equation_1_by_hand() -> None:
    """Softmax (2/3, 1/6, 1/6), (1/4, 1/2, 1/4) and a third each."""
    logits = torch.tensor([[4.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 1.0]]).log()
    labels = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    first = log(2 / 3) + 2 * log(5 / 6)
    second = log(1 / 4) / 2 + log(3 / 4) / 2 + 2 * log(1 / 2) / 2 + log(3 / 4)
    third = 3 * log(2 / 3)
    loss = shared_probability_loss(logits, labels)
    assert loss.item() == pytest.approx(-(first + second + third) / 9)


def test_the_loss_of_shares_is_least_where_the_classes_present_share_the_probability() -> None:
    labels = torch.tensor([[0.0, 1.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
    logits = torch.zeros(1, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: shared_probability_loss(x, labels), logits)
    optimizer = torch.optim.LBFGS([logits], max_iter=500, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = shared_probability_loss(logits, labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(logits.softmax(1), labels / 2, atol=1e-2, rtol=0)


def test_a_sure_network_has_a_finite_loss() -> None:
    logits = torch.tensor([[1000.0, 0.0, -1000.0]], requires_grad=True)
    right, wrong = torch.tensor([[1.0, 0, 0]]), torch.tensor([[0, 0, 1.0]])
    assert shared_probability_loss(logits, right).item() == 0
    shared_probability_loss(logits, wrong).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_scores_share_one_probability_or_have_their_own() -> None:
    images = images_of(2)
    shared, own = method_of(), method_of(output="sigmoid")
    own.load_state_dict(shared.state_dict())
    logits = shared(images)["logits"]
    torch.testing.assert_close(shared.localize(images).scores, logits.softmax(1))
    torch.testing.assert_close(own.localize(images).scores, logits.sigmoid())


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize(
    ("task", "output"),
    [("multilabel", "sigmoid"), ("multilabel", "softmax"), ("singlelabel", "softmax")],
)
def test_a_class_is_found_alone_as_beside_others(task: str, output: str, features: str) -> None:
    """To the bit: passes always have the same number of candidates."""
    answer = method_of(task, output=output, features=features).localize(images_of(1))
    together = maps_of(answer)
    for label in range(CLASSES):
        assert torch.equal(maps_of(answer, label)[:, 0], together[:, label])


@pytest.mark.parametrize("features", FEATURES)
def test_an_image_is_searched_alone_as_beside_others(features: str) -> None:
    """Where the maps of the images have the same bits already, so have the regions."""
    method, images = method_of(features=features), images_of(3)
    maps, logits = method.backbone(images), method(images)["logits"]
    together = method.regions(partial(crops, images), maps, logits, Tracks.of([2, 0, 2], [0, 1, 1]))
    last = slice(2, 3)
    own = partial(crops, images[last])
    alone = method.regions(own, maps[last], logits[last], Tracks.of([0, 0], [0, 1]))
    for several, single in zip(together, alone, strict=True):
        assert np.array_equal(several.boxes[[0, 2]], single.boxes)
        assert np.array_equal(several.scores[[0, 2]], single.scores)


def test_wanted_classes_of_each_image_alone() -> None:
    answer = method_of().localize(images_of(3))
    every = maps_of(answer)
    first, second, third = (maps for (maps,) in answer.maps_of([[2], [], [1, 0]]))
    assert torch.equal(first, every[0, [2]])
    assert second.shape == (0, *every.shape[2:])
    assert torch.equal(third, every[2, [1, 0]])


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("size", [(48, 64), (32, 20), (4, 4)])
def test_any_size_of_input(size: tuple[int, int], features: str) -> None:
    method = method_of(features=features, root_counts=False)
    answer = method.localize(images_of(1, *size))
    maps = maps_of(answer)
    height, width = (-(-side // 8) for side in size)  # the pooling rounds up
    assert maps.shape == (1, CLASSES, 2 * height, 2 * width)
    assert (maps.amax((2, 3)) > 0).all()


@pytest.mark.parametrize("features", FEATURES)
def test_a_constant_image_and_half_precision(features: str) -> None:
    method = method_of(features=features)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        answer = method.localize(torch.zeros(1, 3, 32, 32))
        maps = maps_of(answer)
    assert answer.scores.dtype == maps.dtype == torch.float32
    assert torch.isfinite(maps).all()
    assert (maps >= 0).all()


def test_logits_are_those_of_the_map_resized_to_the_grid() -> None:
    method, images = method_of(), images_of(2, 64, 64)
    features = method.backbone(images)
    assert features.shape[2:] == (8, 8)
    hidden = method.backbone.hidden(torch.nn.functional.avg_pool2d(features, 2)).flatten(1)
    expected = method.classifier(method.adaptation(hidden))
    torch.testing.assert_close(method(images)["logits"], expected)


def test_the_layers_of_the_paper() -> None:
    method = build_method("bency", "tiny", 20, "multilabel")
    layer = method.adaptation[0]
    assert (layer.in_features, layer.out_features) == (32, 2048)
    assert (method.classifier.in_features, method.classifier.out_features) == (2048, 20)
    assert (method.options.beam_width, method.options.levels) == (8, 10)
    only_last = build_method("bency", "tiny", 20, "multilabel", None, {"adaptation": None})
    assert len(only_last.adaptation) == 0
    assert only_last.classifier.in_features == 32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "best"}, r"strategy: .*'beam', 'greedy' or 'none'; given 'best'"),
        ({"features": "cached"}, r"features: .*'recompute' or 'reuse'; given 'cached'"),
        ({"beam_width": 0}, r"beam_width: .*greater than 0; given 0"),
        ({"output": "relu"}, r"output: .*'softmax' or 'sigmoid'; given 'relu'"),
        ({"level": 3}, r"unknown key 'level'; did you mean 'levels'\?"),
    ],
)
def test_mistakes_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_method("bency", "tiny", CLASSES, "multilabel", None, options)


def test_one_class_alone_has_no_softmax() -> None:
    with pytest.raises(ConfigError, match=r"set method_options\.output to sigmoid"):
        build_method("bency", "tiny", 1, "multilabel")


def test_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    network = bency.network
    monkeypatch.setitem(bency.CLASSES, "usual", 2)
    monkeypatch.setattr(bency, "SIZE", 32)
    monkeypatch.setattr(
        bency, "network", lambda classes, features: network(classes, features=features, **SMALL)
    )
    report = BENCHMARKS["bency"]()
    assert (report["name"], report["classes"]) == ("bency", 2)
    for suffix in ("", "_recompute"):
        expected = report[f"plain{suffix}_ms"] / report[f"batched{suffix}_ms"]
        assert report[f"ratio{suffix}"] == pytest.approx(expected, rel=0.5)  # medians of two
    assert report["identical_regions"] == report["identical_boxes"] == 1
    assert report["max_difference"] == 0
    assert {"identical_regions_float32", "max_difference_float32"} <= set(report)
