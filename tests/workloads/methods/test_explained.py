"""Gradient saliency and Grad-CAM: finite differences, CAM as a special case, whole networks."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from small_methods import CLASSES, class_map, tiny

from workloads.backbones.whole_network import WholeNetwork
from workloads.errors import ConfigError
from workloads.methods.cam import Cam
from workloads.methods.classification import class_response
from workloads.methods.explained import ExplainedClassifier
from workloads.methods.grad_cam import weighted_maps
from workloads.methods.gradient_saliency import gaussian_smooth
from workloads.methods.registry import build_method


def test_the_gradient_is_the_one_that_finite_differences_give() -> None:
    method = tiny("gradient-saliency", smoothing=0.0, cell_px=1).double()
    images = torch.randn(1, 3, 16, 20, dtype=torch.float64)
    saliency = class_map(method, images, 2)[0]
    assert saliency.shape == (16, 20)
    step = 1e-6
    for y, x in ((0, 0), (7, 11), (15, 19)):
        slopes = []
        for channel in range(3):
            ends = images.repeat(2, 1, 1, 1)
            ends[0, channel, y, x] += step
            ends[1, channel, y, x] -= step
            with torch.no_grad():
                up, down = method(ends)["logits"][:, 2]
            slopes.append(abs((up - down).item()) / (2 * step))
        assert saliency[y, x].item() == pytest.approx(max(slopes), rel=1e-4, abs=1e-9)


def test_cells_hold_the_mean_of_their_pixels() -> None:
    fine = tiny("gradient-saliency", smoothing=0.0, cell_px=1)
    coarse = tiny("gradient-saliency", smoothing=0.0, cell_px=4)
    coarse.load_state_dict(fine.state_dict())
    images = torch.randn(1, 3, 16, 24)
    expected = F.avg_pool2d(class_map(fine, images, 0), 4)
    torch.testing.assert_close(class_map(coarse, images, 0), expected)
    assert class_map(coarse, torch.randn(1, 3, 17, 30), 0).shape == (1, 5, 8)


def test_smoothing_is_a_gaussian_that_keeps_the_sum_and_constants() -> None:
    impulse = torch.zeros(1, 61, 41, dtype=torch.float64)
    impulse[0, 30, 20] = 1
    smooth = gaussian_smooth(impulse, 3.0)[0]
    assert smooth.sum().item() == pytest.approx(1)
    offsets = torch.arange(61, dtype=torch.float64) - 30
    assert (smooth.sum(1) * offsets**2).sum().sqrt().item() == pytest.approx(3, rel=0.02)
    torch.testing.assert_close(smooth[20:41, 10:31], smooth[20:41, 10:31].T)
    flat = torch.full((2, 5, 7), 2.5)
    torch.testing.assert_close(gaussian_smooth(flat, 4.0), flat)


def test_channels_are_weighted_by_their_mean_slope_and_negative_sums_cut_off() -> None:
    maps = torch.tensor([[[[1.0, 2.0]], [[3.0, 0.0]]]])
    slopes = torch.tensor([[[[2.0, 0.0]], [[-1.0, 0.0]]]])  # means 1 and -0.5
    assert weighted_maps(maps, slopes).tolist() == [[[0.0, 2.0]]]  # of -0.5 and 2


def test_with_a_linear_head_grad_cam_is_rectified_cam_over_the_number_of_positions() -> None:
    cam = tiny("cam", channels=32)
    grad_cam = build_method(
        "grad-cam", "tiny", CLASSES, "multilabel", None, {"head": "gap", "channels": 32}
    ).eval()
    grad_cam.load_state_dict(cam.state_dict())
    images = torch.randn(2, 3, 40, 48)
    with torch.no_grad():
        assert isinstance(cam, Cam)
        response = class_response(cam.features(images), cam.classifier).relu() / (10 * 12)
    for label in range(CLASSES):
        found = class_map(grad_cam, images, label)
        torch.testing.assert_close(found, response[:, label], rtol=1e-4, atol=1e-7)


def test_with_fully_connected_layers_a_weight_is_the_slope_of_raising_its_channel() -> None:
    method = tiny("grad-cam").double()
    assert isinstance(method, ExplainedClassifier)
    assert method.backbone.fully_connected
    images = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        _, maps = method.logits_and_maps(images)
    assert maps.shape[2:] == (8, 8)
    step = 1e-5
    channels = maps.shape[1]
    weights = []
    for sign in (1, -1):
        raised = maps.repeat(channels, 1, 1, 1)
        raised[range(channels), range(channels)] += sign * step
        with torch.no_grad():
            weights.append(method._head(raised)[:, 1])
    slopes = (weights[0] - weights[1]) / (2 * step) / 64
    expected = (slopes.view(-1, 1, 1) * maps[0]).sum(0).relu()
    found = class_map(method, images, 1)[0]
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-9)


def test_heads_are_what_the_options_say() -> None:
    own = build_method("grad-cam", "tiny", CLASSES, "multilabel")
    assert own.backbone.fully_connected
    assert own.classifier.in_features == own.backbone.hidden_channels
    plain = build_method("gradient-saliency", "googlenet", CLASSES, "multilabel")
    assert not plain.backbone.fully_connected  # it has no such layers: the mean, then linear
    assert plain.classifier.in_features == plain.backbone.out_channels
    gap = build_method("grad-cam", "tiny", CLASSES, "multilabel", "gap")
    assert not gap.backbone.fully_connected
    assert gap.classifier.in_features == 1024


@pytest.mark.parametrize(
    ("method", "backbone", "options", "message"),
    [
        ("grad-cam", "googlenet", {"head": "fully_connected"}, "has no fully connected layers"),
        (
            "gradient-saliency",
            "tiny",
            {"channels": 64},
            r"channels: .*only head 'gap' has channels",
        ),
        ("grad-cam", "torchvision:resnet18", {"head": "gap"}, r"a whole network; use 'own'"),
        ("cam", "torchvision:resnet81", {}, r"did you mean 'resnet18'\?"),
        ("grad-cam", "torchvision:resnet81", {}, r"did you mean 'resnet18'\?"),
        ("acol", "tiny", {"threshold": 1.0}, r"threshold: .*less than 1; given 1.0"),
        ("hide-and-seek", "tiny", {"patch_px": [-4]}, r"patch_px.*greater than or equal to 0"),
        ("hide-and-seek", "tiny", {"patch_px": []}, r"patch_px: .*at least 1 item"),
    ],
)
def test_what_does_not_fit_is_refused(
    method: str, backbone: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build_method(method, backbone, CLASSES, "multilabel", None, options)


def test_a_whole_network_is_explained_with_its_own_head() -> None:
    method = build_method("grad-cam", "torchvision:resnet18", 5, "singlelabel").eval()
    assert isinstance(method.backbone, WholeNetwork)
    assert (method.backbone.name, method.backbone.input_size) == ("torchvision:resnet18", 224)
    network = method.backbone.classifier.network
    assert not list(method.new_layers().parameters())
    assert network.fc.out_features == 5
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        logits, maps = method.backbone.classifier.with_maps(images)
        torch.testing.assert_close(method.localize(images).scores, logits.softmax(1))
    # The head is linear over the mean, so the weights of the last layer are the importance.
    expected = F.conv2d(maps, network.fc.weight[:, :, None, None]).relu() / (2 * 3)
    torch.testing.assert_close(class_map(method, images, 3), expected[:, 3], rtol=1e-3, atol=1e-6)


def test_a_transformer_has_gradients_but_no_last_map() -> None:
    name = "torchvision:vit_b_32"
    with torch.device("meta"):
        assert build_method("gradient-saliency", name, 5, "singlelabel").backbone.name == name
        with pytest.raises(ConfigError, match="vit_b_32 classifies tokens, not a feature map"):
            build_method("grad-cam", name, 5, "singlelabel")
