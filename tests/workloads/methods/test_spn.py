"""SPN with the soft proposal anywhere in the network, and at several scales."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workloads.errors import ConfigError
from workloads.methods.base import Localization
from workloads.methods.multiscale import rescale
from workloads.methods.registry import build_method
from workloads.methods.spn.soft_proposal import SoftProposal
from workloads.methods.spn.spn import Spn

CLASSES = 3
STAGES = ("conv1", "conv3", "conv5")


def build(method: str = "spn", **options: object) -> Spn:
    torch.manual_seed(0)
    built = build_method(method, "tiny", CLASSES, "multilabel", "tiny", options)
    return built.eval()  # type: ignore[return-value]


def pictures(count: int = 2, height: int = 32, width: int = 48) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def all_maps(answer: Localization) -> list[tuple[Tensor, ...]]:
    return answer.maps_of([range(CLASSES)] * len(answer.scores))


class Uniform(nn.Module):
    """A soft proposal that prefers nothing."""

    def forward(self, features: Tensor) -> Tensor:
        height, width = features.shape[2:]
        return torch.full_like(features[:, 0], 1 / (height * width))


@pytest.mark.parametrize("after", [None, *STAGES])
def test_a_proposal_without_preferences_makes_it_cam(after: str | None) -> None:
    """The features keep their size in the middle, and the pooling is a mean."""
    spn, cam, images = build(after=after), build("cam"), pictures()
    cam.load_state_dict(spn.state_dict())
    spn.soft_proposal = Uniform()  # type: ignore[assignment]
    with torch.inference_mode():
        torch.testing.assert_close(spn(images)["logits"], cam(images)["logits"])
        torch.testing.assert_close(spn.localize(images).scores, cam.localize(images).scores)
        # CAM's map of a class has the logit as its mean, SPN's as its sum.
        for (found,), (expected,) in zip(
            all_maps(spn.localize(images)), all_maps(cam.localize(images)), strict=True
        ):
            torch.testing.assert_close(found * 8 * 12, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("after", STAGES)
def test_in_the_middle_features_are_weighted_and_then_go_on(after: str) -> None:
    method, images = build(after=after), pictures()
    with torch.inference_mode():
        answer = method.localize(images)
        features, proposal = images, torch.zeros(0)
        for name, stage in method.backbone.stages().items():
            features = stage(features)
            if name == after:
                proposal = SoftProposal(method.options)(features)
                weights = proposal / proposal.mean(dim=(1, 2), keepdim=True)
                features = features * weights.unsqueeze(1)
        logits = method.classifier(features.mean(dim=(2, 3)))
        torch.testing.assert_close(answer.scores, logits.sigmoid())
        torch.testing.assert_close(method(images)["logits"], logits)
    assert answer.proposal is not None
    torch.testing.assert_close(answer.proposal, proposal)
    sides = {"conv1": (16, 24), "conv3": (8, 12), "conv5": (8, 12)}
    assert answer.proposal.shape[1:] == sides[after]
    for (maps,), logit in zip(all_maps(answer), logits, strict=True):
        assert maps.shape == (CLASSES, 8, 12)
        torch.testing.assert_close(maps.sum((1, 2)) + method.classifier.bias, logit)


def test_no_gradient_flows_through_a_proposal_in_the_middle() -> None:
    method, images = build(after="conv3"), pictures(1)
    parameter = next(method.backbone.parameters())
    weight = torch.tensor([1.0, -2.0, 3.0])
    loss = (method(images)["logits"] * weight).sum()
    (found,) = torch.autograd.grad(loss, parameter)

    class Held(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            return held

    with torch.no_grad():
        _, taps = method.backbone.tapped(images, ["conv3"])
        held = method.soft_proposal(taps["conv3"])
    method.soft_proposal = Held()  # type: ignore[assignment]
    loss = (method(images)["logits"] * weight).sum()
    (expected,) = torch.autograd.grad(loss, parameter)
    torch.testing.assert_close(found, expected)


def test_scores_are_of_the_mean_logits_and_every_scale_has_its_maps() -> None:
    scales, images = (1.0, 0.5, 2.0), pictures()
    method, single = build(scales=scales), build()
    with torch.inference_mode():
        answer = method.localize(images)
        sizes = ((32, 48), (16, 24), (64, 96))
        inputs = [F.interpolate(images, s, mode="bilinear", antialias=True) for s in sizes]
        logits = torch.stack([single(one)["logits"] for one in inputs]).mean(0)
        torch.testing.assert_close(answer.scores, logits.sigmoid())
        torch.testing.assert_close(method(images)["logits"], logits)
        alone = [single.localize(one) for one in inputs]
        for row, maps in enumerate(all_maps(answer)):
            assert [m.shape[1:] for m in maps] == [(8, 12), (4, 6), (16, 24)]
            for found, one in zip(maps, alone, strict=True):
                torch.testing.assert_close(found, all_maps(one)[row][0])
        assert answer.proposal is not None
        assert alone[0].proposal is not None
        torch.testing.assert_close(answer.proposal, alone[0].proposal)
        training = method.train()(images)["logits"]
        torch.testing.assert_close(training, single.train()(images)["logits"])


def test_inputs_may_be_rescaled_from_corner_to_corner() -> None:
    """Of four pixels 0, 3, 6, 9, seven from corner to corner are 0, 1.5 .. 9."""
    row = torch.tensor([0.0, 3.0, 6.0, 9.0]).expand(1, 1, 4, 4)
    found = rescale(row, 7 / 4, align_corners=True)
    torch.testing.assert_close(found[0, 0, 3], torch.arange(7) * 1.5)
    images, scale = pictures(), 2.0
    method = build(scales=(scale,), align_corners=True)
    larger = F.interpolate(images, (64, 96), mode="bilinear", align_corners=True)
    with torch.inference_mode():
        torch.testing.assert_close(method(images)["logits"], build()(larger)["logits"])


@pytest.mark.parametrize("options", [{}, {"after": "conv2"}, {"scales": (1.0, 0.5)}])
@pytest.mark.parametrize("shape", [(1, 3, 16, 40), (1, 3, 33, 17)])
def test_half_precision_single_images_and_constant_ones(
    options: dict[str, object], shape: tuple[int, ...]
) -> None:
    method = build(**options)
    for images in (pictures(*shape[:1], *shape[2:]), torch.full(shape, 0.5)):
        with torch.inference_mode():
            expected = method.localize(images)
            with torch.autocast("cpu", torch.bfloat16):
                found = method.localize(images)
        torch.testing.assert_close(found.scores, expected.scores, atol=0.02, rtol=0)
        assert found.proposal is not None
        assert found.proposal.dtype == torch.float32
        torch.testing.assert_close(found.proposal.sum((1, 2)), torch.ones(1))
        for maps in all_maps(found)[0]:
            assert maps.dtype == torch.float32
            assert torch.isfinite(maps).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"after": "conv6"}, r"unknown stage of backbone tiny 'conv6'; did you mean 'conv\d'\?"),
        ({"scales": ()}, "scales: .*at least 1 item"),
        ({"scales": (1.0, -0.5)}, r"scales\.1: .*greater than 0"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(**options)
