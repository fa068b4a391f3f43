"""A model version: its folder, and a localizer that answers for images from memory.

A model version is a sealed folder (see `artifacts`) and self-sufficient:

    weights.safetensors    every parameter and buffer of the network
    model.json             the model card: how to rebuild it, preprocessing, classes, thresholds
    manifest.json          digests of the others, written last; its own digest names the version

Batch invariance: annotation jobs and the endpoint must give the same boxes for an image, yet
arithmetic libraries choose their kernels by batch size and number of threads, and round
differently for each. So neither ever depends on the request or the machine: a forward pass on a
CPU has exactly one image and one thread (more threads work on more images), and on a GPU always
GPU_CHUNK images, padded with zeros.

Shapes: B batch, K classes, H W size of an image, S side of the network's input, h w map size.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor

from workloads.artifacts import atomic_folder, read_json, seal, verify, write_json
from workloads.detections import Detections
from workloads.errors import ConfigError, ResourceError
from workloads.images import resize_square
from workloads.localization.detect import detect
from workloads.methods import METHODS, build_method
from workloads.methods.base import Localization, Method
from workloads.model_card import SCHEMA_VERSION, Cutoffs, ModelCard
from workloads.tensors import WEIGHTS_FILE, load_exactly, read_tensors, write_tensors
from workloads.training import InputNormalizer

CARD_FILE = "model.json"
GPU_CHUNK = 16


class Response(NamedTuple):
    """What the network says about one image.

    Attributes:
        scores: (K,) float32 in [0, 1].
        maps: (K, h, w) float32, any range, in the frame of the whole upright image.
        proposal: (h, w) float32 summing to 1, None for methods without one.
    """

    scores: NDArray[np.float32]
    maps: NDArray[np.float32]
    proposal: NDArray[np.float32] | None


def save_model(folder: Path, method: Method, card: ModelCard) -> dict[str, Any]:
    """Write a model version whole or not at all; a folder of that name is replaced.

    Returns:
        The manifest. Its digest names the version: the same weights and card, the same digest.

    Raises:
        ConfigError: the card describes another network than `method`.
    """
    _check_card(card, method)
    with atomic_folder(folder) as temporary:
        write_tensors(temporary / WEIGHTS_FILE, method.state_dict())
        write_json(temporary / CARD_FILE, card.model_dump(mode="json"))
        return seal(temporary, kind="model", schema_version=card.schema_version)


def retune_model(
    folder: Path, target: Path, cutoffs: Cutoffs, provenance: Mapping[str, JsonValue]
) -> dict[str, Any]:
    """The same weights with other cut-offs as a new model version.

    Args:
        provenance: facts to add to those of the card.

    Returns:
        The manifest of `target`.

    Raises:
        NotFound, IntegrityError: as `verify`.
    """
    verify(folder, "model")
    card = read_card(folder)
    tuned = card.model_copy(
        update={"cutoffs": cutoffs, "provenance": {**card.provenance, **provenance}}
    )
    with atomic_folder(target) as temporary:
        shutil.copyfile(folder / WEIGHTS_FILE, temporary / WEIGHTS_FILE)
        write_json(temporary / CARD_FILE, tuned.model_dump(mode="json"))
        return seal(temporary, kind="model", schema_version=tuned.schema_version)


def read_card(folder: Path) -> ModelCard:
    """The card of a model version.

    Raises:
        NotFound: no card there.
        ConfigError: written by a newer version of this project, or not a card.
    """
    path = folder / CARD_FILE
    values = read_json(path)
    version = values.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ConfigError(
            f"{path}: model schema {version} is newer than the known {SCHEMA_VERSION}; "
            "use the version of wsol that wrote it, or a newer one"
        )
    return ModelCard.parse(values, str(path))


class Localizer:
    """A network with its card, ready to answer.

    Results are bit-identical for an image whatever else is asked with it, whatever the number of
    threads (see above), as long as kind of device and library versions are the same. For that, a
    localizer on a CPU sets torch's own number of threads in this process to 1 and leaves it so:
    restoring it would change the rounding of a call that runs beside this one.

    Attributes:
        card: classes, thresholds, preprocessing.
        digest: names the model version.
    """

    def __init__(
        self,
        method: Method,
        card: ModelCard,
        digest: str,
        device: str = "cpu",
        threads: int | None = 1,
    ) -> None:
        _check_card(card, method)
        self.card = card
        self.digest = digest
        self.device = torch.device(device)
        self.threads = threads
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise ResourceError("no CUDA device is visible to this process; use device 'cpu'")
        chosen = card.preprocessing
        self._normalize = InputNormalizer(chosen.mean, chosen.std).to(self.device)
        self._method = method.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._method.eval().requires_grad_(False)
        self._cooccurrence = np.asarray(card.cooccurrence, dtype=np.float64)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu", threads: int | None = 1) -> Self:
        """Load a model version after checking every file against the manifest.

        Args:
            device: "cpu", "cuda" or "cuda:N".
            threads: images that a CPU works on at once, with the same bits for any number. None
                is for interactive use: one image at a time with as many threads as torch is set
                to, which may round differently from machine to machine.

        Raises:
            NotFound: no finished model there.
            IntegrityError: a file is missing or changed.
            ConfigError: a newer schema, an unknown method or option, or weights that do not fit;
                missing and unexpected tensors are listed.
            ResourceError: there is no such device.
        """
        manifest = verify(folder, "model")
        card = read_card(folder)
        method = build_method(
            card.method, card.backbone, len(card.classes), card.task, None, card.method_options
        )
        load_exactly(method, read_tensors(folder / WEIGHTS_FILE), str(folder / WEIGHTS_FILE))
        return cls(method, card, str(manifest["digest"]), device, threads)

    def predict(self, images: Sequence[NDArray[np.uint8]]) -> list[Response]:
        """Scores and maps of upright RGB images of any size.

        Args:
            images: (H, W, 3) uint8 each; sizes may differ. Each is warped to the card's square.

        Raises:
            ValueError: an image has another shape or dtype.
        """
        step = GPU_CHUNK if self.device.type == "cuda" else 1
        chunks = [images[start : start + step] for start in range(0, len(images), step)]
        if self.device.type == "cuda" or self.threads is None or self.threads == 1:
            answers = [self._answer(chunk, step) for chunk in chunks]
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                answers = list(pool.map(lambda chunk: self._answer(chunk, step), chunks))
        return [response for answer in answers for response in answer]

    def detect(
        self,
        images: Sequence[NDArray[np.uint8]],
        sizes: Sequence[tuple[int, int]] | None = None,
    ) -> list[Detections]:
        """Boxes of upright RGB images with the card's thresholds.

        Args:
            images: (H, W, 3) uint8 each.
            sizes: (width, height) that boxes refer to, for images that were resized before;
                None for the images' own.

        Raises:
            ValueError: an image has another shape or dtype, or `sizes` another length.
        """
        sizes = [(i.shape[1], i.shape[0]) for i in images] if sizes is None else sizes
        return [
            detect(r.scores, r.maps.__getitem__, w, h, self.card.cutoffs, self._cooccurrence)
            for r, (w, h) in zip(self.predict(images), sizes, strict=True)
        ]

    def warm_up(self) -> None:
        """One real forward pass on a synthetic image: afterwards the localizer is ready."""
        size = self.card.preprocessing.size
        ramp = np.linspace(0, 255, size * size * 3).astype(np.uint8)
        self.predict([ramp.reshape(size, size, 3)])

    def _answer(self, images: Sequence[NDArray[np.uint8]], batch: int) -> list[Response]:
        """Responses to at most `batch` images by one forward pass over exactly `batch`."""
        size = self.card.preprocessing.size
        pixels = np.zeros((batch, size, size, 3), dtype=np.uint8)
        for row, image in enumerate(images):
            pixels[row] = resize_square(image, size)
        with torch.inference_mode(), self._exact():
            inputs = self._normalize(torch.from_numpy(pixels).to(self.device))
            answer = self._method.localize(inputs)
        return _split(answer, len(images))

    def _exact(self) -> AbstractContextManager[None]:
        """Settings under which equal shapes give equal bits."""
        if self.device.type == "cuda":
            # Without these, cuDNN may measure its algorithms and pick by time, and convolutions
            # run in TF32. Reduced precision is for training only.
            exact: AbstractContextManager[None] = torch.backends.cudnn.flags(
                enabled=True, benchmark=False, deterministic=True, allow_tf32=False
            )
            return exact
        if self.threads is not None:
            torch.set_num_threads(1)  # torch keeps the number per calling thread
        return nullcontext()


def _split(answer: Localization, count: int) -> list[Response]:
    """The first `count` images of an answer; the rest is padding."""
    scores, maps = _array(answer.scores), _array(answer.maps)
    proposals = None if answer.proposal is None else _array(answer.proposal)
    return [
        Response(scores[i], maps[i], None if proposals is None else proposals[i])
        for i in range(count)
    ]


def _array(tensor: Tensor) -> NDArray[np.float32]:
    # Channels-last maps would make every map of a class a strided view.
    array: NDArray[np.float32] = tensor.float().cpu().contiguous().numpy()
    return array


def _check_card(card: ModelCard, method: Method) -> None:
    """A card must describe the network beside it.

    Raises:
        ConfigError: what differs.
    """
    classes = len(card.classes)
    options = METHODS[card.method].options_type.parse(card.method_options, "model card")
    facts = {
        "method": (card.method, method.name),
        "backbone": (card.backbone, method.backbone.name),
        "task": (card.task, method.task),
        "method options": (options, method.options),
        "number of classes": (classes, method.num_classes),
    }
    for fact, (said, actual) in facts.items():
        if said != actual:
            raise ConfigError(f"model card: {fact} is {said}, the network's is {actual}")
    if any(len(row) != classes for row in (card.cooccurrence, *card.cooccurrence)):
        raise ConfigError(f"model card: cooccurrence must be {classes} x {classes}")
