"""Boxes of one network for the classes that another ranks first (SPG, table 3).

A localizer finds where a class is, a stronger classifier which classes there are. A ranker gives
probabilities that take the place of the localizer's own scores; the maps stay the localizer's.

The probabilities of an image depend on that image alone, bit for bit, as a localizer's do (see
`workloads.models.localizer`): one image at a time on a CPU, batches of always the same size on a
GPU.

Shapes: N images, K classes, H W size of an image, S side of a classifier's input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workloads.backbones.imagenet import check_classes
from workloads.backbones.torchvision_classifier import (
    PREFIX,
    TorchvisionClassifier,
    open_classifier,
)
from workloads.errors import ConfigError
from workloads.models.exact_arithmetic import GPU_CHUNK, exact_arithmetic
from workloads.models.localizer import Choose, Localizer, Response

# Beyond this ratio of the sides, the ends of an image are cut off before it is scaled: the crop
# does not reach them, and the whole of a thin stripe would take gigabytes.
LONGEST = 8


class Ranker(Protocol):
    """A classifier by whose scores classes are ranked."""

    def scores(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """(N, K) probabilities in [0, 1] of upright RGB images, (H, W, 3) uint8 each."""


class TorchvisionRanker:
    """A torchvision classifier with the preprocessing it was published with: resize, crop, softmax.

    On a CPU it sets torch's own number of threads in this process to 1, as a localizer does.
    """

    def __init__(
        self, classifier: TorchvisionClassifier, device: str = "cpu", threads: int = 1
    ) -> None:
        """`threads` is the number of images that a CPU works on at once."""
        self._device = torch.device(device)
        self._classifier = classifier.to(self._device).eval().requires_grad_(False)
        self._prepare: Callable[[Tensor], Tensor] = classifier.weights.transforms()
        self._threads = threads

    def scores(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """See `Ranker`; of each image the centred square counts."""
        step = GPU_CHUNK if self._device.type == "cuda" else 1
        parts = [images[start : start + step] for start in range(0, len(images), step)]
        if self._threads == 1 or step > 1:
            found = [self._probabilities(part, step) for part in parts]
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                found = list(pool.map(lambda part: self._probabilities(part, step), parts))
        nothing = np.zeros((0, self._classifier.num_classes), dtype=np.float32)
        return np.concatenate([nothing, *found])

    def _probabilities(
        self, images: Sequence[NDArray[np.uint8]], batch: int
    ) -> NDArray[np.float32]:
        """By one forward pass over exactly `batch` inputs, zeros after the last image."""
        with torch.inference_mode(), exact_arithmetic(self._device):
            inputs = [self._input(image) for image in images]
            inputs += [torch.zeros_like(inputs[0])] * (batch - len(images))
            logits = self._classifier.classify(torch.stack(inputs).to(self._device))
            found: NDArray[np.float32] = logits.float().softmax(dim=1).cpu().numpy()
        return found[: len(images)]

    def _input(self, image: NDArray[np.uint8]) -> Tensor:
        """(3, S, S) normalised."""
        return self._prepare(torch.from_numpy(_middle(image).copy()).permute(2, 0, 1))


class ModelRanker:
    """A model version of ours, of which only the scores are asked for."""

    def __init__(self, localizer: Localizer) -> None:
        self._localizer = localizer

    def scores(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """See `Ranker`."""
        nothing = np.zeros((0, len(self._localizer.card.classes)), dtype=np.float32)
        responses = self._localizer.predict(images, lambda *_: ())
        return np.stack([r.scores for r in responses]) if responses else nothing


class Ensemble:
    """The mean of the probabilities of several rankers (SPG's "DPN-ensemble").

    Raises:
        ValueError: there is none.
    """

    def __init__(self, rankers: Sequence[Ranker]) -> None:
        if not rankers:
            raise ValueError("an ensemble has at least one ranker, none given")
        self._rankers = tuple(rankers)

    def scores(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """See `Ranker`."""
        every = [ranker.scores(images) for ranker in self._rankers]
        return np.asarray(np.mean(every, axis=0, dtype=np.float64), dtype=np.float32)


def open_ranker(
    names: Sequence[str], classes: Sequence[str], device: str = "cpu", threads: int = 1
) -> Ranker:
    """The ranker of one name, or the ensemble of several.

    Args:
        names: each the folder of a model version, or "torchvision:<model>" (with
            ":<weights>" where torchvision has several) for published weights on this machine, or
            the same with "=<file>" after it for others.
        classes: names of the data set's classes, in the order of its labels; every ranker must
            have the same.
        device: "cpu", "cuda" or "cuda:N".
        threads: images that a CPU works on at once.

    Raises:
        ConfigError: no name, an unknown one, weights that do not fit, or other classes.
        NotFound: no such folder or file of weights.
        IntegrityError: a model version or published file that was changed.
        ResourceError: there is no such device.
    """
    if not names:
        raise ConfigError(
            f"no classifier to rank by; give the folder of a model or {PREFIX}:<model>"
        )
    rankers = [_open(name, classes, device, threads) for name in names]
    return rankers[0] if len(rankers) == 1 else Ensemble(rankers)


def predict_ranked(
    localizer: Localizer,
    ranker: Ranker,
    images: Sequence[NDArray[np.uint8]],
    choose: Choose | None = None,
) -> list[Response]:
    """`Localizer.predict` with the ranker's scores in place of the localizer's.

    Args:
        choose: gets the ranker's scores, too.
    """
    choose = choose or (lambda _, scores: range(len(scores)))
    scores = ranker.scores(images)
    responses = localizer.predict(images, lambda row, _: choose(row, scores[row]))
    return [r._replace(scores=scores[row]) for row, r in enumerate(responses)]


def _open(name: str, classes: Sequence[str], device: str, threads: int) -> Ranker:
    if not name.startswith(f"{PREFIX}:"):
        localizer = Localizer.load(Path(name), device, threads)
        if localizer.card.classes != tuple(classes):
            raise ConfigError(
                f"ranking by {name}: its classes are not those of the data set in the same order "
                f"({_difference(localizer.card.classes, classes)}); use a model of this data set"
            )
        return ModelRanker(localizer)
    network, _, file = name.partition("=")
    classifier = open_classifier(network, Path(file) if file else None)
    if classifier.categories:
        check_classes(classes, classifier.categories)
    elif classifier.num_classes != len(classes):
        raise ConfigError(
            f"ranking by {name}: it has {classifier.num_classes} classes, the data set "
            f"{len(classes)}; use weights that were trained on this data set"
        )
    return TorchvisionRanker(classifier, device, threads)


def _difference(ours: Sequence[str], theirs: Sequence[str]) -> str:
    if len(ours) != len(theirs):
        return f"{len(ours)} and {len(theirs)}"
    at = next(k for k, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b)
    return f"class {at} is '{ours[at]}' and '{theirs[at]}'"


def _middle(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) without the ends of a very long image, see LONGEST."""
    height, width = image.shape[:2]
    rows, columns = min(height, LONGEST * width), min(width, LONGEST * height)
    top, left = (height - rows) // 2, (width - columns) // 2
    return image[top : top + rows, left : left + columns]
