"""A published classifier as a model version: no training, and through the localizer like any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from workloads.backbones.torchvision_classifier import TorchvisionClassifier
from workloads.errors import ConfigError
from workloads.images.decode import resize_square
from workloads.models.localizer import Localizer
from workloads.models.published import save_published

NETWORK = "torchvision:shufflenet_v2_x0_5"
CLASSES = ("cat", "dog", "hen")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.save(classifier().network.state_dict(), tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


def classifier() -> TorchvisionClassifier:
    torch.manual_seed(0)
    return TorchvisionClassifier(NETWORK, len(CLASSES)).eval()


@pytest.mark.parametrize(
    ("method", "options", "map_size"),
    [("grad-cam", {}, (7, 7)), ("gradient-saliency", {"cell_px": 16}, (14, 14))],
)
def test_it_says_what_the_classifier_says_and_finds_boxes(
    tmp_path: Path, weights: Path, method: str, options: dict[str, int], map_size: tuple[int, int]
) -> None:
    folder = tmp_path / "model"
    manifest = save_published(folder, NETWORK, method, weights, CLASSES, options)
    localizer = Localizer.load(folder)
    assert localizer.digest == manifest["digest"]
    assert localizer.card.classes == CLASSES
    image = np.random.default_rng(0).integers(0, 256, (120, 90, 3), dtype=np.uint8)
    (response,) = localizer.predict([image])
    assert response.scales[0].shape == (3, *map_size)

    network = classifier()
    warped = torch.from_numpy(resize_square(image, 224)).permute(2, 0, 1).float() / 255
    mean, std = torch.tensor(network.mean), torch.tensor(network.std)
    inputs = (warped - mean[:, None, None]) / std[:, None, None]
    with torch.no_grad():
        expected = network.classify(inputs[None]).softmax(1)[0]
    np.testing.assert_allclose(response.scores, expected, rtol=1e-4)
    (found,) = localizer.detect([image])
    assert (found.width, found.height) == (90, 120)


def test_images_do_not_depend_on_each_other(tmp_path: Path, weights: Path) -> None:
    save_published(tmp_path / "model", NETWORK, "grad-cam", weights, CLASSES)
    images = [np.full((50, 60, 3), 40 * at, dtype=np.uint8) for at in range(4)]
    images[2][10:30, 10:30] = 255
    one, several = (Localizer.load(tmp_path / "model", threads=n) for n in (1, 3))
    for alone, beside in zip(one.predict(images), several.predict(images), strict=True):
        assert np.array_equal(alone.scores, beside.scores)
        assert np.array_equal(alone.scales[0], beside.scales[0])


def test_what_does_not_fit_is_refused(tmp_path: Path, weights: Path) -> None:
    folder = tmp_path / "model"
    with pytest.raises(ConfigError, match="0 class names for 3 logits"):
        save_published(folder, NETWORK, "grad-cam", weights)
    with pytest.raises(ConfigError, match="method cam adds layers to a network"):
        save_published(folder, NETWORK, "cam", weights, CLASSES)
    with pytest.raises(ConfigError, match=r"unknown classifier torchvision:<model> 'tiny'"):
        save_published(folder, "tiny", "grad-cam", weights, CLASSES)
    assert not folder.exists()
