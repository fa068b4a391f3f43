"""Oquab's max-pooling: the search over positions and scales, padding, and the paper's variants."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from workloads.errors import ConfigError
from workloads.localization.maps import upsample
from workloads.localization.points import peak
from workloads.methods.base import Targets
from workloads.methods.oquab import oquab
from workloads.methods.oquab.oquab import Oquab
from workloads.methods.registry import build_method
from workloads.training.optimizer import make_optimizer
from workloads.training.options import TrainOptions

CLASSES = 3
# At scale 1 the small backbone has 5 windows of 32 pixels on 64, with centres at 16, 24, ..., 48.
SIZE, POSITIONS = 64, 5


def build(task: str = "multilabel", **options: object) -> Oquab:
    torch.manual_seed(0)
    method = build_method("oquab", "tiny", CLASSES, task, "tiny", {"channels": 16, **options})
    assert isinstance(method, Oquab)
    return method


def pictures(count: int = 2, height: int = SIZE, width: int = SIZE) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def window_scores(method: Oquab, images: Tensor) -> Tensor:
    """The network without anything around it."""
    hidden = method.backbone.hidden(method.backbone(images))
    scores: Tensor = method.classifier(method.adaptation(hidden))
    return scores


def targets(labels: list[list[float]], *boxes: list[list[float]]) -> Targets:
    return Targets(torch.tensor(labels), boxes=tuple(torch.tensor(b).view(-1, 5) for b in boxes))


def test_the_loss_is_equation_1() -> None:
    logits, labels = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.0, 3.0]]), [[1, 0, 1], [0, 0, 0]]
    signs = [[1, -1, 1], [-1, -1, -1]]
    rows = [
        sum(math.log(1 + math.exp(-y * f)) for y, f in zip(ys, fs, strict=True))
        for ys, fs in zip(signs, logits.tolist(), strict=True)
    ]
    known = Targets(torch.tensor(labels, dtype=torch.float32))
    found = build(reduction="sum").loss({"logits": logits}, known)["classification"].item()
    assert found == pytest.approx(sum(rows) / 2)
    found = build(reduction="mean").loss({"logits": logits}, known)["classification"].item()
    assert found == pytest.approx(sum(rows) / 2 / CLASSES)


def test_a_single_label_has_the_cross_entropy_whatever_the_reduction() -> None:
    logits, known = torch.tensor([[2.0, -1.0, 0.5]]), Targets(torch.tensor([[0.0, 0.0, 1.0]]))
    expected = -logits.log_softmax(1)[0, 2].item()
    for reduction in ("sum", "mean"):
        method = build("singlelabel", reduction=reduction)
        assert method.loss({"logits": logits}, known)["classification"].item() == pytest.approx(
            expected
        )


def test_a_score_is_the_mean_over_scales_of_the_best_window() -> None:
    scales = (0.7, 1.0, 2.0)
    method, images = build(test_scales=scales).eval(), pictures()
    with torch.inference_mode():
        answer = method.localize(images)
        best = []
        for scale in scales:
            side = round(scale * SIZE)
            scaled = F.interpolate(images, (side, side), mode="bilinear", antialias=True)
            best.append(window_scores(method, scaled).flatten(2).amax(2))
        torch.testing.assert_close(answer.scores, torch.stack(best).mean(0).sigmoid())


def test_a_map_is_the_maximum_over_scales() -> None:
    scales, image, label = (1.0, 2.0), pictures(1), 1
    method = build(test_scales=scales, placement="stretch").eval()
    with torch.inference_mode():
        (found,) = method.localize(image).maps_of([[label]])[0]
        double = F.interpolate(image, (128, 128), mode="bilinear", antialias=True)
        small, large = (window_scores(method, one)[:, [label]] for one in (image, double))
        stretched = F.interpolate(small, (13, 13), mode="bilinear")
    assert found.shape == (1, 13, 13)  # (128 - 32) / 8 + 1
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.maximum(stretched, large)[0])
    assert 0 < (stretched > large).float().mean() < 1


def test_rows_that_lie_in_the_padding_do_not_count() -> None:
    method, images = build(test_scales=(1.0,), placement="stretch").eval(), pictures()
    extents = torch.tensor([[1.0, 1.0], [0.5, 1.0]])
    with torch.inference_mode():
        raw = window_scores(method, images)
        answer = method.localize(images, extents)
        # Centres at 16, 24 and 32 lie on the upper half.
        best = torch.stack([raw[0].amax((1, 2)), raw[1, :, :3].amax((1, 2))])
        torch.testing.assert_close(answer.scores, best.sigmoid())
        whole, half = (m for (m,) in answer.maps_of([[0], [2]]))
        torch.testing.assert_close(whole, raw[0, :1])
        # Three rows of windows are spread over the upper half of five rows of cells.
        assert half.amax() <= raw[1, 2, :3].amax()
        torch.testing.assert_close(half[0, 0], raw[1, 2, 0].lerp(raw[1, 2, 1], 0.1))
        # Cells 0.6 and 0.8 of the frame have no image in them; that from 0.4 on has.
        assert (half[0, 3:] == half.amin()).all()
        assert (half[0, 2] > half.amin()).any()


def test_all_of_a_window_can_be_asked_to_lie_on_the_image() -> None:
    method, images = build(test_scales=(1.0,), inside="window").eval(), pictures(1)
    with torch.inference_mode():
        raw = window_scores(method, images)
        scores = method.localize(images, torch.tensor([[0.7, 1.0]])).scores
    torch.testing.assert_close(scores, raw[:, :, :2].amax((2, 3)).sigmoid())  # 44.8 px: 0 and 8


@pytest.mark.parametrize("extent", [(1.0, 1.0), (0.01, 0.02), (0.6, 1.0)])
@pytest.mark.parametrize("shape", [(64, 64), (20, 90), (5, 7), (48, 33)])
@pytest.mark.parametrize("placement", ["stretch", "centres"])
def test_inputs_of_any_shape_have_finite_answers(
    shape: tuple[int, int], extent: tuple[float, float], placement: str
) -> None:
    method = build(placement=placement, test_scales=(0.5, 1.0, 2.8)).eval()
    with torch.inference_mode():
        answer = method.localize(pictures(1, *shape), torch.tensor([extent]))
        (maps,) = answer.maps_of([[0, 1, 2]])[0]
    assert torch.isfinite(answer.scores).all()
    assert torch.isfinite(maps).all()
    assert maps.shape[0] == CLASSES


def test_an_image_does_not_depend_on_its_batch() -> None:
    method, images = build().eval(), pictures(3)
    extents = torch.tensor([[1.0, 1.0], [0.5, 1.0], [1.0, 0.3]])
    with torch.inference_mode():
        together = method.localize(images, extents)
        maps = together.maps_of([[0], [], [2, 1]])
        for row, wanted in enumerate(([0], [], [2, 1])):
            alone = method.localize(images[row : row + 1], extents[row : row + 1])
            torch.testing.assert_close(alone.scores[0], together.scores[row])
            torch.testing.assert_close(alone.maps_of([wanted])[0][0], maps[row][0])
    assert [m.shape[0] for (m,) in maps] == [1, 0, 2]


def test_a_batch_is_trained_at_one_scale_drawn_from_the_range(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[float] = []

    def remember(images: Tensor, scale: float) -> Tensor:
        drawn.append(scale)
        return images

    monkeypatch.setattr(oquab, "rescale", remember)
    method, images = build(train_scales=(0.7, 1.4)).train(), pictures(2, 32, 32)
    for seed in range(40):
        torch.manual_seed(seed)
        method(images)
    torch.manual_seed(39)
    method(images)
    assert len(drawn) == 41  # one for each batch
    assert drawn[39] == drawn[40]
    assert 0.7 <= min(drawn) < 0.8
    assert 1.3 < max(drawn) <= 1.4
    build(train_scales=None).train()(images)
    assert len(drawn) == 41


def test_only_the_winning_window_is_taught() -> None:
    method = build(train_scales=None, pooling="max").train()
    images = pictures(1).requires_grad_()
    weights = method.classifier.weight
    method(images)["logits"][0, 1].backward()
    assert weights.grad is not None
    # The gradient of a class's weights is what the last layer saw at the best window.
    raw = window_scores(method, images)
    seen = method.adaptation(method.backbone.hidden(method.backbone(images)))
    place = raw[0, 1].flatten().argmax()
    torch.testing.assert_close(weights.grad[1, :, 0, 0], seen[0].flatten(1)[:, place])
    assert not weights.grad[[0, 2]].any()


def test_a_frozen_backbone_stays_as_it_is() -> None:
    method = build(freeze=True, dropout=0.5).train()
    assert method.adaptation.training
    assert not any(module.training for module in method.backbone.modules())
    before = {n: t.clone() for n, t in method.backbone.state_dict().items()}
    loss = method.loss(method(pictures()), Targets(torch.ones(2, CLASSES)))["classification"]
    loss.backward()
    groups = make_optimizer(method, TrainOptions()).param_groups
    trained = {id(p) for group in groups for p in group["params"]}
    assert trained == {id(p) for p in method.new_layers().parameters()}
    for name, tensor in method.backbone.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert method.train(False).adaptation.training is False
    assert all(m.training for m in build(freeze=False).train().backbone.modules())


def test_masked_pooling_takes_the_best_window_in_the_boxes_of_a_class() -> None:
    method = build(pooling="masked", train_scales=None).train()
    assert method.needs == {"boxes"}
    assert not build(pooling="max").needs
    images = pictures()
    raw = window_scores(method, images).detach()
    known = targets(
        [[1, 0, 1], [0, 1, 0]],
        # Centres 24 and 32 across and 40, 48 down; a second object of the same class at 16, 16;
        # class 2 lies between centres, nearest to 16 down and 48 across.
        [[20, 36, 40, 60, 0], [10, 10, 20, 20, 0], [50, 10, 55, 12, 2]],
        # A box of a class that is not present (a difficult one, say); class 1 has none.
        [[0, 0, 64, 20, 0]],
    )
    found = method(images, known)["logits"].detach()
    of_zero = torch.cat([raw[0, 0, 3:5, 1:3].flatten(), raw[0, 0, :1, 0]])
    torch.testing.assert_close(found[0, 0], of_zero.amax())
    torch.testing.assert_close(found[0, 1], raw[0, 1].amax())  # absent: anywhere
    torch.testing.assert_close(found[0, 2], raw[0, 2, 0, 4])
    torch.testing.assert_close(found[1], raw[1].amax((1, 2)))
    with torch.inference_mode():  # no boxes outside of training
        assert method.eval()(images)["logits"].shape == (2, CLASSES)


def test_boxes_follow_the_scale_of_a_batch() -> None:
    method = build(pooling="masked", train_scales=(2.0, 2.0)).train()
    images = pictures(1)
    big = F.interpolate(images, (128, 128), mode="bilinear", antialias=True)
    raw = window_scores(method, big).detach()
    known = targets([[1, 0, 0]], [[24, 48, 28, 52, 0]])  # at 48 to 56 and 96 to 104 then
    found = method(images, known)["logits"][0, 0]
    torch.testing.assert_close(found.detach(), raw[0, 0, 10, 4])  # centres at 96 and 48


def test_the_background_can_be_lowered_too() -> None:
    method = build(
        pooling="masked", suppress_outside=True, train_scales=None, reduction="sum"
    ).train()
    images = pictures(2)
    everything = [[0, 0, 64, 64, 1]]
    known = targets([[1, 0, 0], [0, 1, 0]], [[0, 0, 64, 28, 0]], everything)
    outputs = method(images, known)
    raw = window_scores(method, images)
    # Rows with centres 16 and 24 are inside; other classes and class 1 have nothing outside.
    outside = raw[0, 0, 2:].amax()
    torch.testing.assert_close(outputs["outside"][0, 0], outside)
    assert outputs["outside"].isneginf().sum() == 5
    terms = method.loss(outputs, known)
    torch.testing.assert_close(terms["outside"], F.softplus(outside) / 2)  # mean over images
    terms["outside"].backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in method.parameters())
    assert method.classifier.weight.grad is not None
    assert method.classifier.weight.grad[0].any()


def test_masked_pooling_without_boxes_is_refused() -> None:
    method = build(pooling="masked").train()
    with pytest.raises(ConfigError, match="pooling 'masked' needs boxes in training; use 'max'"):
        method(pictures(), Targets(torch.ones(2, CLASSES)))


def test_full_images_go_through_one_window() -> None:
    method, images = build(pooling="full"), pictures()
    small = F.interpolate(images, (32, 32), mode="bilinear", antialias=True)
    for mode in (True, False):
        raw = window_scores(method.train(mode), small)
        assert raw.shape[2:] == (1, 1)
        torch.testing.assert_close(method(images)["logits"], raw[:, :, 0, 0])
    with torch.inference_mode():
        (maps,) = method.localize(images).maps_of([[0, 2], [1]])[0]
    assert maps.shape[0] == 2
    for one in maps:
        assert peak(upsample(one.numpy(), 64, 64)) == pytest.approx((32, 32), abs=0.5)


@pytest.mark.parametrize("pooling", ["max", "full"])
def test_the_centre_is_that_of_the_image_without_its_padding(pooling: str) -> None:
    location = "map" if pooling == "full" else "centre"  # one window has no other location
    method = build(location=location, pooling=pooling).eval()
    extents = torch.tensor([[1.0, 1.0], [0.5, 1.0], [1.0, 0.3]])
    with torch.inference_mode():
        answer = method.localize(pictures(3), extents)
        searched = build(location="map", pooling=pooling).eval().localize(pictures(3), extents)
        torch.testing.assert_close(answer.scores, searched.scores)
        for (maps,), extent in zip(answer.maps_of([[0, 2]] * 3), extents, strict=True):
            assert torch.equal(maps[0], maps[1])
            row, column = divmod(int(maps[0].argmax()), maps.shape[2])
            found = torch.tensor([(row + 0.5) / maps.shape[1], (column + 0.5) / maps.shape[2]])
            assert ((found - extent / 2).abs() <= 0.5 / min(maps.shape[1:])).all()
            assert (maps[0] == maps[0].max()).sum() == 1


def test_half_precision_is_near_single() -> None:
    method, images = build().eval(), pictures()
    with torch.inference_mode():
        expected = method.localize(images)
        with torch.autocast("cpu", torch.bfloat16):
            found = method.localize(images)
            (maps,) = found.maps_of([[0, 1], []])[0]
    assert found.scores.dtype == maps.dtype == torch.float32
    torch.testing.assert_close(found.scores, expected.scores, atol=0.02, rtol=0)
    torch.testing.assert_close(maps, expected.maps_of([[0, 1], []])[0][0], atol=0.05, rtol=0.05)


def test_equal_windows_give_a_constant_map() -> None:
    method = build(test_scales=(1.0,)).eval()
    torch.nn.init.zeros_(method.adaptation[0].weight)  # nothing of the image is left
    with torch.inference_mode():
        (maps,) = method.localize(pictures(1)).maps_of([[0]])[0]
    assert maps.shape == (1, POSITIONS, POSITIONS)
    assert (maps == maps[0, 0, 0]).all()


def test_it_learns_where_objects_are_from_labels_alone() -> None:
    """The paper's title, on squares in the colour of their class anywhere in noise."""
    method = build(train_scales=(0.9, 1.2)).train()
    optimizer = torch.optim.SGD(method.parameters(), lr=0.01, momentum=0.9)
    rng = torch.Generator().manual_seed(0)
    for _ in range(40):
        images, labels, _ = squares(rng, 10)
        loss = method.loss(method(images), Targets(labels))["classification"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    images, labels, corners = squares(rng, 30)
    with torch.inference_mode():
        answer = method.eval().localize(images)
        maps = answer.maps_of([[int(k)] for k in labels.argmax(1)])
    assert (answer.scores.argmax(1) == labels.argmax(1)).float().mean() > 0.9
    hits = 0
    for (one,), corner in zip(maps, corners, strict=True):
        place = divmod(int(one[0].argmax()), one.shape[2])
        point = (torch.tensor(place) + 0.5) / torch.tensor(one.shape[1:]) * SIZE
        hits += bool(((point >= corner) & (point < corner + 20)).all())
    assert hits > 20  # a fixed point would hit about a quarter


def squares(rng: torch.Generator, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """(N, 3, 64, 64) images, (N, 3) labels and the (N, 2) upper left corners of the squares."""
    images = 0.5 * torch.randn(count, 3, SIZE, SIZE, generator=rng)
    labels = F.one_hot(torch.randint(CLASSES, (count,), generator=rng), CLASSES).float()
    corners = torch.randint(SIZE - 20, (count, 2), generator=rng)
    for image, label, (y, x) in zip(images, labels, corners.tolist(), strict=True):
        image[:, y : y + 20, x : x + 20] += 2 * label[:, None, None]
    return images, labels, corners


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_scales": (1.4, 0.7)}, "the least comes first"),
        ({"train_scales": (0.0, 1.0)}, r"train_scales\.0: .*greater than 0"),
        ({"test_scales": ()}, "test_scales: .*at least 1 item"),
        ({"test_scales": (1.0, float("inf"))}, "finite"),
        ({"suppress_outside": True}, "suppress_outside needs pooling 'masked'"),
        ({"pooling": "mean"}, "'max', 'masked' or 'full'"),
        ({"placement": "center"}, "'stretch' or 'centres'"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(**options)
