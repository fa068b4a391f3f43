"""Ranking by other classifiers: their preprocessing, equal bits in any batch, equal classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as transforms

from workloads.backbones.torchvision_classifier import TorchvisionClassifier
from workloads.errors import ConfigError, NotFound
from workloads.localization.cutoffs import Cutoffs
from workloads.methods.registry import build_method
from workloads.models import ranking
from workloads.models.card import ModelCard, Preprocessing
from workloads.models.localizer import Localizer
from workloads.models.ranking import (
    Ensemble,
    ModelRanker,
    TorchvisionRanker,
    open_ranker,
    predict_ranked,
)
from workloads.models.version import save_model

NETWORK = "torchvision:shufflenet_v2_x0_5"
CLASSES = ("cat", "dog", "hen", "owl")

Image = NDArray[np.uint8]


def some_images(*sizes: tuple[int, int]) -> list[Image]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for w, h in sizes]


def classifier(num_classes: int = len(CLASSES)) -> TorchvisionClassifier:
    torch.manual_seed(0)
    return TorchvisionClassifier(NETWORK, num_classes).eval()


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.save(classifier().network.state_dict(), tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    method = build_method("cam", "tiny", len(CLASSES), "singlelabel", "tiny")
    card = ModelCard(
        method="cam",
        method_options=method.options.model_dump(mode="json"),
        backbone="tiny",
        task="singlelabel",
        classes=CLASSES,
        preprocessing=Preprocessing(size=64, mean=method.backbone.mean, std=method.backbone.std),
        cutoffs=Cutoffs(),
        cooccurrence=tuple(tuple(row) for row in np.eye(len(CLASSES)).tolist()),
        provenance={},
    )
    save_model(tmp_path / "model", method, card)
    return tmp_path / "model"


class Fixed:
    """A ranker that says the same of every image."""

    def __init__(self, *scores: float) -> None:
        self._scores = scores

    def scores(self, images: Sequence[Image]) -> NDArray[np.float32]:
        return np.tile(np.float32(self._scores), (len(images), 1))


def test_the_centred_square_of_the_resized_image_is_classified() -> None:
    (image,) = some_images((320, 200))
    network = classifier()
    resized = transforms.resize(
        torch.from_numpy(image).permute(2, 0, 1), [256], InterpolationMode.BILINEAR, antialias=True
    )
    assert resized.shape == (3, 256, 409)
    square = resized[:, 16:240, 92:316].float() / 255  # round((409 - 224) / 2) is 92
    mean, std = torch.tensor(network.mean), torch.tensor(network.std)
    inputs = (square - mean[:, None, None]) / std[:, None, None]
    with torch.no_grad():
        expected = network.classify(inputs[None]).softmax(1).numpy()
    found = TorchvisionRanker(network).scores([image])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert found.sum() == pytest.approx(1)


def test_the_bits_of_an_image_depend_neither_on_the_batch_nor_on_threads() -> None:
    images = some_images((90, 60), (30, 200), (64, 64), (1, 1), (2000, 3))
    ranker = TorchvisionRanker(classifier())
    together = ranker.scores(images)
    alone = np.concatenate([ranker.scores([image]) for image in images])
    assert np.array_equal(together, alone)
    assert np.array_equal(TorchvisionRanker(classifier(), threads=2).scores(images), together)
    assert len(np.unique(together, axis=0)) == len(images)
    assert ranker.scores([]).shape == (0, len(CLASSES))


def test_the_ends_of_a_long_image_are_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    images = some_images((400, 20), (20, 400))
    ranker = TorchvisionRanker(classifier())
    cut = ranker.scores(images)
    monkeypatch.setattr(ranking, "LONGEST", 100)
    np.testing.assert_allclose(cut, ranker.scores(images), rtol=0.02)


def test_an_ensemble_averages_probabilities() -> None:
    both = Ensemble([Fixed(0.9, 0.1), Fixed(0.2, 0.8)])
    found = both.scores(some_images((8, 8), (9, 9)))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0.55, 0.45]] * 2, rtol=1e-6)
    with pytest.raises(ValueError, match="at least one ranker"):
        Ensemble([])


def test_a_model_of_ours_ranks_by_its_scores(model: Path) -> None:
    images = some_images((40, 30), (70, 70))
    ranker = open_ranker([str(model)], CLASSES)
    assert isinstance(ranker, ModelRanker)
    expected = [r.scores for r in Localizer.load(model).predict(images)]
    assert np.array_equal(ranker.scores(images), expected)
    assert ranker.scores([]).shape == (0, len(CLASSES))


def test_several_names_are_an_ensemble(model: Path, weights: Path) -> None:
    images = some_images((50, 40))
    names = [str(model), f"{NETWORK}={weights}"]
    one, other = (open_ranker([name], CLASSES).scores(images) for name in names)
    both = open_ranker(names, CLASSES)
    assert isinstance(both, Ensemble)
    np.testing.assert_allclose(both.scores(images), (one + other) / 2, rtol=1e-6)
    np.testing.assert_allclose(other, TorchvisionRanker(classifier()).scores(images), rtol=1e-6)


def test_boxes_are_wanted_for_the_classes_that_the_ranker_puts_first(model: Path) -> None:
    localizer = Localizer.load(model)
    images = some_images((40, 30), (70, 70))
    (first, second) = predict_ranked(
        localizer,
        Fixed(0.1, 0.2, 0.0, 0.7),
        images,
        lambda row, scores: [int(scores.argmax()), row],
    )
    assert (first.labels.tolist(), second.labels.tolist()) == ([3, 0], [3, 1])
    np.testing.assert_allclose(second.scores, [0.1, 0.2, 0.0, 0.7], rtol=1e-6)
    plain = localizer.predict(images)
    assert np.array_equal(second.maps_of(3)[0], plain[1].maps_of(3)[0])
    assert len(predict_ranked(localizer, Fixed(0, 0, 0, 1), images)[0].labels) == len(CLASSES)


def test_other_classes_are_refused(model: Path, weights: Path) -> None:
    with pytest.raises(ConfigError, match="class 1 is 'dog' and 'cow'"):
        open_ranker([str(model)], ("cat", "cow", "hen", "owl"))
    with pytest.raises(ConfigError, match=r"in the same order \(4 and 2\)"):
        open_ranker([str(model)], ("cat", "dog"))
    with pytest.raises(ConfigError, match="it has 4 classes, the data set 5"):
        open_ranker([f"{NETWORK}={weights}"], (*CLASSES, "pig"))


def test_imagenet_classifiers_want_imagenet_classes_in_their_order(tmp_path: Path) -> None:
    network = classifier(1000)
    torch.save(network.network.state_dict(), tmp_path / "weights.pth")
    name = f"{NETWORK}={tmp_path / 'weights.pth'}"
    with pytest.raises(ConfigError, match="the data set has 4 classes, the classifier 1000"):
        open_ranker([name], CLASSES)
    named = [f"n{at:08} {category}" for at, category in enumerate(network.categories)]
    assert open_ranker([name], named).scores(some_images((30, 30))).shape == (1, 1000)
    swapped = [*named[:10], f"n00000010 {network.categories[11]}", *named[11:]]
    with pytest.raises(ConfigError, match="class 10 of the data set"):
        open_ranker([name], swapped)


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no classifier to rank by"):
        open_ranker([], CLASSES)
    with pytest.raises(NotFound, match="no model there"):
        open_ranker([str(tmp_path / "nothing")], CLASSES)
    with pytest.raises(ConfigError, match=r"did you mean 'resnet50'\?"):
        open_ranker(["torchvision:resnet5"], CLASSES)
    with pytest.raises(NotFound, match=r"none\.pth: no such file"):
        open_ranker([f"{NETWORK}={tmp_path / 'none.pth'}"], CLASSES)
