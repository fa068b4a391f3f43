"""A model version in memory: images in, scores and maps and boxes out.

Batch invariance: annotation and the endpoint must give the same boxes for an image, yet
arithmetic libraries choose their kernels by batch size and number of threads, and round
differently for each. So neither ever depends on the request or the machine: a forward pass on a
CPU has exactly one image and one thread (more threads work on more images), and on a GPU always
GPU_CHUNK images, padded with zeros.

Shapes: B batch, K classes, H W size of an image, S side of the network's input, h w map size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from workloads.backbones.normalizer import InputNormalizer
from workloads.detections import Detections
from workloads.errors import ResourceError
from workloads.images.crop import crop, frame
from workloads.images.decode import padded_size, resize_square, shrink_within, ten_crops
from workloads.images.view import View, padding_colour
from workloads.localization.candidates import (
    Candidates,
    Clock,
    find_candidates,
    unwatched,
    wanted_classes,
)
from workloads.localization.cooccurrence import rescore
from workloads.localization.detect import classes_reached, detect
from workloads.localization.regions import resized_regions
from workloads.methods.base import CropOf, Localization, Method
from workloads.models.card import ModelCard
from workloads.models.exact_arithmetic import GPU_CHUNK, exact_arithmetic
from workloads.models.model import Model
from workloads.models.packed_convolutions import pack_convolutions
from workloads.models.version import check_card


class Response(NamedTuple):
    """Class scores and maps of one image.

    Attributes:
        scores: (K,) float32 in [0, 1].
        labels: (n,) int32, the classes whose maps were asked for.
        scales: one (n, h, w) float32 array for each scale of the network, the main one first;
            any range, in the frame of the whole upright image.
        proposal: (h, w) float32 summing to 1, None for methods without one.
        regions_xyxy: (R, 4) float32 class-free boxes of an object proposal algorithm, best
            first, whole pixels of the upright image; None where the card's box rule does not
            ask for them, or no map was asked for.
    """

    scores: NDArray[np.float32]
    labels: NDArray[np.int32]
    scales: tuple[NDArray[np.float32], ...]
    proposal: NDArray[np.float32] | None
    regions_xyxy: NDArray[np.float32] | None = None

    def maps_of(self, label: int) -> tuple[NDArray[np.float32], ...]:
        """(h, w) maps of one class, one for each scale."""
        row = int(np.flatnonzero(self.labels == label)[0])
        return tuple(maps[row] for maps in self.scales)


MOST_SIDE = 1024
"""Longest side, in pixels, of the images that methods cut parts from: it bounds the memory."""


Choose = Callable[[int, NDArray[np.float32]], Sequence[int]]
"""From the position of an image in a call and its (K,) scores to the classes whose maps are
wanted."""


class Localizer:
    """A network with its card, ready to answer.

    Results are bit-identical for an image whatever else is asked with it, whatever the number of
    threads (see above), as long as kind of device and library versions are the same. For that, a
    localizer on a CPU sets torch's own number of threads in this process to 1 and leaves it so:
    restoring it would change the rounding of a call that runs beside this one.

    Of the network it is given it makes one that only answers: in place, and for good.

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
        check_card(card, method)
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
        if self.device.type == "cpu":
            pack_convolutions(self._method, self._forward_once)

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
        model = Model.open_verified(folder)
        return cls(model.network(), model.card, model.digest, device, threads)

    def predict(
        self,
        images: Sequence[NDArray[np.uint8]],
        choose: Choose | None = None,
        sizes: Sequence[tuple[int, int]] | None = None,
    ) -> list[Response]:
        """Scores and maps of upright RGB images of any size.

        Args:
            images: (H, W, 3) uint8 each; sizes may differ. Each becomes the card's square.
            choose: the classes whose maps are wanted; None for all.
            sizes: (width, height) of the images before `shrunk` was applied to them; None if it
                was not.

        Raises:
            ValueError: an image has another shape or dtype, or `sizes` another length.
        """
        sizes = _sizes(images) if sizes is None else sizes
        if len(sizes) != len(images):
            raise ValueError(f"{len(images)} images and {len(sizes)} sizes; give one for each")
        choose = choose or (lambda _, scores: range(len(scores)))
        step = GPU_CHUNK if self.device.type == "cuda" else 1
        starts = range(0, len(images), step)

        def answer(start: int) -> list[Response]:
            chosen = partial(_shifted, choose, start)
            part = slice(start, start + step)
            return self._answer(images[part], sizes[part], step, chosen)

        if self.device.type == "cuda" or self.threads is None or self.threads == 1:
            answers = [answer(start) for start in starts]
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                answers = list(pool.map(answer, starts))
        return [response for several in answers for response in several]

    def detect(
        self,
        images: Sequence[NDArray[np.uint8]],
        sizes: Sequence[tuple[int, int]] | None = None,
    ) -> list[Detections]:
        """Boxes of upright RGB images with the card's thresholds.

        Args:
            images: (H, W, 3) uint8 each.
            sizes: (width, height) that boxes refer to, for images to which `shrunk` was applied
                before; None for the images' own.

        Raises:
            ValueError: an image has another shape or dtype, or `sizes` another length.
        """
        sizes = _sizes(images) if sizes is None else sizes
        cutoffs, together = self.card.cutoffs, self._cooccurrence

        def reached(_: int, scores: NDArray[np.float32]) -> Sequence[int]:
            return classes_reached(rescore(scores, together, cutoffs.alpha), cutoffs)

        return [
            detect(r.scores, r.maps_of, w, h, cutoffs, together, r.regions_xyxy)
            for r, (w, h) in zip(self.predict(images, reached, sizes), sizes, strict=True)
        ]

    def candidates(
        self,
        images: Sequence[NDArray[np.uint8]],
        sizes: Sequence[tuple[int, int]] | None = None,
        *,
        floor: float,
        most: int,
        keep_maps: bool = False,
        clock: Clock = unwatched,
    ) -> list[Candidates]:
        """Classes that upright RGB images may show, with the boxes of the card's cut-offs.

        Args:
            images, sizes: as of `detect`, which finds the boxes of those of the classes that
                reach the card's score threshold.
            floor, most: as `wanted_classes` takes them.
            keep_maps: whether the maps belong to what is found.
            clock: is told of the phases "forward" and "boxes".

        Raises:
            ValueError: as `detect`.
        """
        sizes = _sizes(images) if sizes is None else sizes
        cutoffs, together = self.card.cutoffs, self._cooccurrence

        def wanted(_: int, scores: NDArray[np.float32]) -> Sequence[int]:
            return wanted_classes(rescore(scores, together, cutoffs.alpha), cutoffs, floor, most)

        with clock("forward"):
            responses = self.predict(images, wanted, sizes)
        with clock("boxes"):
            return [
                find_candidates(
                    r.scores, r.labels.tolist(), r.maps_of, w, h, cutoffs, together,
                    r.regions_xyxy, keep_maps=keep_maps,
                )
                for r, (w, h) in zip(responses, sizes, strict=True)
            ]  # fmt: skip

    def square(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """An upright (H, W, 3) image as a square (s, s, 3) uint8, the network's view of it.

        s is the side of the input, or that of the larger square for ten crops. A square that was
        made so is its own square.

        Raises:
            ValueError: another shape or dtype.
        """
        chosen = self.card.preprocessing
        side = chosen.size + (chosen.ten_crop_margin or 0)
        return View(side, fit=chosen.fit, padding=padding_colour(chosen.mean)).pixels(image)

    def shrunk(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """All of an upright (H, W, 3) uint8 image that is ever looked at.

        Its square; or, for a method that cuts parts from images, the image itself, with no side
        over MOST_SIDE. What was shrunk so stays as it is.

        Raises:
            ValueError: another shape or dtype.
        """
        if self._method.crops_images:
            return shrink_within(image, MOST_SIDE)
        return self.square(image)

    def warm_up(self) -> None:
        """One real forward pass on a synthetic image: afterwards the localizer is ready."""
        size = self.card.preprocessing.size
        ramp = np.linspace(0, 255, size * size * 3).astype(np.uint8)
        self.predict([ramp.reshape(size, size, 3)])

    def _answer(
        self,
        images: Sequence[NDArray[np.uint8]],
        sizes: Sequence[tuple[int, int]],
        batch: int,
        choose: Choose,
    ) -> list[Response]:
        """Responses to at most `batch` images by forward passes over exactly `batch`."""
        sources = [self.shrunk(image) for image in images]
        squares = [self.square(source) for source in sources]
        squares += [np.zeros_like(squares[0])] * (batch - len(images))
        extents = torch.ones(batch, 2)
        fit = self.card.preprocessing.fit
        for row, size in enumerate(sizes):
            extents[row] = torch.tensor(View(len(squares[0]), fit=fit).extent(*size))
        pinned = self.threads is not None
        with torch.inference_mode(), exact_arithmetic(self.device, one_thread=pinned):
            inputs = self._inputs([resize_square(s, self._side) for s in squares])
            answer = self._method.localize_cropping(
                inputs, extents.to(self.device), self._crops_of(sources)
            )
            scores = _array(self._scores(answer, squares))
            wanted = [list(choose(row, scores[row])) for row in range(len(images))]
            # The rest of the batch is padding: no class of it is wanted.
            maps = answer.maps_of([*wanted, *[[]] * (batch - len(images))])
        return [
            Response(
                scores=scores[row],
                labels=np.asarray(wanted[row], dtype=np.int32),
                scales=tuple(_array(_without_padding(m, extents[row])) for m in maps[row]),
                proposal=_proposal(answer, row, extents[row]),
                regions_xyxy=self._regions(squares[row], sizes[row]) if wanted[row] else None,
            )
            for row in range(len(images))
        ]

    def _regions(
        self, square: NDArray[np.uint8], size: tuple[int, int]
    ) -> NDArray[np.float32] | None:
        """Object proposals of an image in its own pixels, if the box rule asks for them.

        They are made on the image's part of the square, padding left out: that is all that the
        endpoint keeps of an image, so every verb finds the same.
        """
        if self.card.cutoffs.box_rule != "regions":
            return None
        from workloads.proposals.make import propose
        from workloads.proposals.options import ProposalOptions

        width, height = size
        rows, columns = len(square), len(square)
        if self.card.preprocessing.fit == "pad":
            rows, columns = padded_size(width, height, len(square))
        part = np.ascontiguousarray(square[:rows, :columns])
        found = propose(part, ProposalOptions())
        return resized_regions(found, (columns, rows), size)

    def _scores(self, answer: Localization, squares: Sequence[NDArray[np.uint8]]) -> Tensor:
        """(B, K) scores of the answer, or the mean over ten crops if the card asks for it."""
        if self.card.preprocessing.ten_crop_margin is None:
            return answer.scores
        crops = zip(*(ten_crops(square, self._side) for square in squares), strict=True)
        return torch.stack(
            [self._method.localize(self._inputs(crop)).scores for crop in crops]
        ).mean(dim=0)

    def _crops_of(self, sources: Sequence[NDArray[np.uint8]]) -> CropOf:
        """Cuts the network's inputs from what `shrunk` gave."""
        chosen = self.card.preprocessing
        framed = cache(lambda row: frame(sources[row], chosen.fit, padding_colour(chosen.mean)))

        def crop_of(rows: Tensor, shares: NDArray[np.float64]) -> Tensor:
            pairs = zip(rows.tolist(), shares, strict=True)
            return self._inputs([crop(framed(row), box, self._side) for row, box in pairs])

        return crop_of

    @torch.inference_mode()
    def _forward_once(self) -> None:
        """A forward pass on an input of the usual shape."""
        with exact_arithmetic(self.device, one_thread=self.threads is not None):
            self._method.localize(self._inputs([np.zeros((self._side,) * 2 + (3,), np.uint8)]))

    def _inputs(self, squares: Sequence[NDArray[np.uint8]]) -> Tensor:
        """(B, 3, S, S) normalised, on the device."""
        inputs: Tensor = self._normalize(torch.from_numpy(np.stack(squares)).to(self.device))
        return inputs

    @property
    def _side(self) -> int:
        return self.card.preprocessing.size


def _sizes(images: Sequence[NDArray[np.uint8]]) -> list[tuple[int, int]]:
    return [(image.shape[1], image.shape[0]) for image in images]


def _shifted(choose: Choose, start: int, row: int, scores: NDArray[np.float32]) -> Sequence[int]:
    """`choose` for rows that count from `start`."""
    return choose(start + row, scores)


def _proposal(answer: Localization, row: int, extent: Tensor) -> NDArray[np.float32] | None:
    if answer.proposal is None:
        return None
    inside = _without_padding(answer.proposal[row][None], extent)[0]
    return _array(inside / inside.sum())


def _without_padding(maps: Tensor, extent: Tensor) -> Tensor:
    """(n, h, w) maps over the input to the part over the image, at about the same resolution.

    Sampled bilinearly at the centres of the new cells, beyond the last centre by its value.
    """
    if bool((extent == 1).all()):
        return maps
    height, width = maps.shape[1:]
    rows, columns = (
        max(1, math.ceil(side * float(share)))
        for side, share in zip((height, width), extent, strict=True)
    )
    y = (torch.arange(rows) + 0.5) / rows * 2 * extent[0] - 1
    x = (torch.arange(columns) + 0.5) / columns * 2 * extent[1] - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=2).to(maps)
    return F.grid_sample(maps[None], grid[None], padding_mode="border", align_corners=False)[0]


def _array(tensor: Tensor) -> NDArray[np.float32]:
    # Channels-last maps would make every map of a class a strided view.
    array: NDArray[np.float32] = tensor.float().cpu().contiguous().numpy()
    return array
