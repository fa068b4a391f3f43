"""One process that answers for models: it loads versions, decodes images and finds boxes.

Its boxes are those of `annotate`, to the last bit: both ask `Localizer.candidates`, which does not
depend on the batch.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orchestrator.config.settings import Serving
from orchestrator.engine.progress import say
from orchestrator.serve.api.host import Answer, Ask
from orchestrator.serve.hosting.answers import answer_of, selection_of, wanted_of
from orchestrator.serve.hosting.offers import Offer
from orchestrator.serve.hosting.overlay import SIDE
from workloads.annotation.phases import Phases
from workloads.errors import IntegrityError, Overloaded, WsolError
from workloads.images.decode import ImageLimits, decode_oriented, shrink_within
from workloads.models.localizer import Localizer

Result = tuple[Answer | None, Exception | None]
"""An answer, or the reason why there is none; errors of one image do not touch those beside it."""


class Job(NamedTuple):
    """An image that waits for its turn, as the network takes it: a photograph is a few kilobytes.

    Attributes:
        pixels: (S, S, 3) uint8, or the image itself for methods that cut parts from it.
        size: width and height of the upright image, to which boxes refer.
        picture: of the image for an overlay; None if none was asked for.
        since: time at which it began to wait.
        seconds: that were spent on it before.
    """

    offer: Offer
    localizer: Localizer
    ask: Ask
    pixels: NDArray[np.uint8]
    size: tuple[int, int]
    orientation: int
    picture: NDArray[np.uint8] | None
    since: float
    seconds: dict[str, float]


class Worker:
    """Answers for all versions that it is asked about, of which it keeps some in memory."""

    def __init__(self, serving: Serving, limits: ImageLimits) -> None:
        self.serving, self.limits = serving, limits
        threads = serving.threads
        # Off the event loop, so that other requests are heard; few, as each decoded photograph
        # takes up to 3 bytes x images.max_pixels.
        self._decoders = ThreadPoolExecutor(threads, "decode")
        # On a CPU each image is a forward pass of one thread; on a GPU one pass takes a batch.
        self._finders = ThreadPoolExecutor(1 if self.on_gpu else threads, "find")
        self._kept: OrderedDict[str, Localizer] = OrderedDict()
        self._loading = asyncio.Lock()
        self._suspect: Localizer | None = None

    @property
    def on_gpu(self) -> bool:
        """Whether images go through the network in batches."""
        return self.serving.device == "cuda"

    async def answer(self, offer: Offer, data: bytes, ask: Ask) -> Answer:
        """The answer about one image file.

        Raises:
            InputRejected: it cannot be used.
            ConfigError: an unknown class, or a cut-off that is none or cannot be chosen.
            Overloaded: the version cannot be loaded; the log says why, as that has paths.
        """
        try:
            localizer = await self.localizer(offer)
        except (WsolError, OSError) as problem:
            say(f"wsol: model '{offer.name}' cannot be loaded: {problem}")
            raise Overloaded(
                f"model '{offer.name}' cannot be loaded; tell whoever runs the endpoint"
            ) from None
        selection_of(offer, localizer.card.cutoffs, ask)  # a wrong question costs nothing
        loop = asyncio.get_running_loop()
        job = await loop.run_in_executor(
            self._decoders, self._job, offer, localizer, data, ask, time.perf_counter()
        )
        answer, error = await self.find(job)
        if error is not None:
            raise error
        assert answer is not None
        return answer

    async def find(self, job: Job) -> Result:
        """The answer for one image, in its turn."""
        return (await self.find_all([job]))[0]

    async def find_all(self, jobs: Sequence[Job]) -> list[Result]:
        """The answers for images that go through the network together."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._finders, self._find_all, list(jobs))

    async def localizer(self, offer: Offer) -> Localizer:
        """A version in memory, warmed up; the one that was unused for longest leaves."""
        async with self._loading:
            digest = offer.info.digest
            if digest not in self._kept:
                self._kept[digest] = await self.load(offer)
            self._kept.move_to_end(digest)
            while len(self._kept) > self.serving.max_loaded:
                self._kept.popitem(last=False)
            return self._kept[digest]

    async def load(self, offer: Offer) -> Localizer:
        """Load a version and make it answer once.

        Raises:
            NotFound, IntegrityError, ConfigError: as `Localizer.load`; or it is another version.
        """
        return await asyncio.to_thread(self._load, offer)

    async def check_health(self) -> None:
        """After a failed forward pass, try one; if that fails too, this process is of no use."""
        if self._suspect is not None:
            await asyncio.to_thread(self._suspect.warm_up)
            self._suspect = None

    def _load(self, offer: Offer) -> Localizer:
        # Each image on one thread: as many at once as there are finders.
        found = Localizer.load(offer.folder, device=self.serving.device, threads=1)
        if found.digest != offer.info.digest:
            raise IntegrityError(f"model {offer.reference}: {offer.folder} was changed; restore it")
        found.warm_up()
        return found

    def _job(self, offer: Offer, localizer: Localizer, data: bytes, ask: Ask, since: float) -> Job:
        began = time.perf_counter()
        image, orientation = decode_oriented(data, self.limits)
        height, width = image.shape[:2]
        # As the localizer itself would do it: the boxes stay those of `annotate`.
        pixels = localizer.shrunk(image)
        picture = shrink_within(image, SIDE) if ask.overlay else None
        now = time.perf_counter()
        seconds = {"queue": began - since, "decode": now - began}
        return Job(
            offer, localizer, ask, pixels, (width, height), orientation, picture, now, seconds
        )

    def _find_all(self, jobs: list[Job]) -> list[Result]:
        began = time.perf_counter()
        for job in jobs:
            job.seconds["queue"] += began - job.since
        return find_each(jobs, self._note_suspect)

    def _note_suspect(self, localizer: Localizer) -> None:
        self._suspect = localizer


def find_each(jobs: list[Job], failed: Callable[[Localizer], None]) -> list[Result]:
    """Answer or error of each image.

    One image must not fail the requests that happened to come with it, so images of a failed
    batch are tried one by one.

    Args:
        failed: called with the localizer of an image that failed alone.
    """
    alike = {(job.localizer.digest, wanted_of(job.ask)) for job in jobs}
    if len(alike) == 1:
        try:
            return [(answer, None) for answer in _together(jobs)]
        except Exception as error:
            if len(jobs) == 1:
                failed(jobs[0].localizer)
                return [(None, error)]
    return [find_each([job], failed)[0] for job in jobs]


def _together(jobs: list[Job]) -> list[Answer]:
    """Answers for images of one model, of which the same is wanted."""
    localizer, wanted, phases = jobs[0].localizer, wanted_of(jobs[0].ask), Phases()
    found = localizer.candidates(
        [job.pixels for job in jobs],
        [job.size for job in jobs],
        floor=wanted.floor,
        most=wanted.most,
        keep_maps=wanted.keep_maps,
        clock=phases,
    )
    own = {phase: phases.seconds[phase] for phase in ("forward", "boxes")}
    return [
        replace(
            answer_of(
                job.offer, localizer.card.cutoffs, job.ask, one, job.orientation, job.picture
            ),
            seconds={**job.seconds, **own},
        )
        for job, one in zip(jobs, found, strict=True)
    ]
