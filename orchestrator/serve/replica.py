"""One copy of a served model.

Its boxes are those of `annotate`, to the last bit: both ask `Localizer.detect`, which does not
depend on the batch.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from fastapi import FastAPI
from numpy.typing import NDArray

from orchestrator.config.settings import Serving
from orchestrator.serve.endpoint import ModelInfo, create_app
from workloads.detections import Detections
from workloads.errors import Overloaded
from workloads.images.decode import ImageLimits, decode
from workloads.models.localizer import Localizer

Answer = tuple[bool, Detections | Exception]


class Shrunk(NamedTuple):
    """An image as the network takes it: a photograph waits for its batch as a few kilobytes.

    Attributes:
        pixels: (S, S, 3) uint8.
        size: width and height of the upright image, to which boxes refer.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]


class Replica:
    """One copy of the model with its HTTP interface."""

    def __init__(self, model: Path, name: str, serving: Serving, limits: ImageLimits) -> None:
        threads = max(1, int(serving.cpus_per_replica))
        self.localizer = Localizer.load(
            model, device="cuda" if serving.gpus_per_replica else "cpu", threads=threads
        )
        card = self.localizer.card
        self.info = ModelInfo(
            name=name, digest=self.localizer.digest, method=card.method, backbone=card.backbone
        )
        self.classes = card.classes
        self.max_body_bytes = int(serving.max_request_mb * 2**20)
        self._origins = serving.allowed_origins
        self._limits = limits
        self._suspect = False
        # Off the event loop, so that other requests are heard; few, as each decoded photograph
        # takes up to 3 bytes x images.max_pixels.
        self._decoders = ThreadPoolExecutor(threads, "decode")
        self._turn = asyncio.Lock()
        self._waiting, self._most = 0, serving.max_queue
        self.localizer.warm_up()
        self.ready = True

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The interface of this replica."""
        return create_app(self, self._origins)

    async def detect(self, data: bytes) -> Detections:
        """Boxes of one image file.

        Raises:
            InputRejected: it cannot be used.
        """
        loop = asyncio.get_running_loop()
        image = await loop.run_in_executor(self._decoders, self._shrink, data)
        _, answer = await self.detect_one(image)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def detect_one(self, image: Shrunk) -> Answer:
        """(True, boxes) or (False, error) of one image; others wait for their turn.

        Raises:
            Overloaded: `serve.max_queue` images wait already.
        """
        if self._waiting > self._most:
            raise Overloaded("too many images wait already (serve.max_queue); ask again later")
        self._waiting += 1
        try:
            async with self._turn:
                return (await self.detect_batch([image]))[0]
        finally:
            self._waiting -= 1

    async def check_health(self) -> None:
        """After a failed forward pass, try one; if that fails too, Ray replaces the replica."""
        if self._suspect:
            await asyncio.to_thread(self.localizer.warm_up)
            self._suspect = False

    def _shrink(self, data: bytes) -> Shrunk:
        image = decode(data, self._limits)
        height, width = image.shape[:2]
        # As the localizer itself would do it: the boxes stay those of `annotate`.
        return Shrunk(self.localizer.shrunk(image), (width, height))

    async def detect_batch(self, images: list[Shrunk]) -> list[Answer]:
        """The answers of images that go through the network together."""
        answers = await asyncio.to_thread(detect_each, self.localizer, images)
        self._suspect |= any(not ok for ok, _ in answers)
        return answers


def detect_each(localizer: Localizer, images: list[Shrunk]) -> list[Answer]:
    """(True, boxes) or (False, error) of each image: Ray does not raise errors in such a list.

    One image must not fail the requests that happened to come with it, so images of a failed
    batch are tried one by one.
    """
    try:
        found = localizer.detect([i.pixels for i in images], [i.size for i in images])
        return [(True, detections) for detections in found]
    except Exception as error:
        if len(images) == 1:
            return [(False, error)]
    return [detect_each(localizer, [image])[0] for image in images]
