"""All that is found in one chunk of the listing, batch by batch."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from workloads.annotation.found import FoundImage
from workloads.annotation.listing import ListedFile
from workloads.annotation.options import Kept
from workloads.annotation.parts import ChunkResult, QuarantinedFile
from workloads.annotation.phases import Phases
from workloads.annotation.sources.base import Source
from workloads.errors import InputRejected
from workloads.images.decode import ImageLimits, decode_oriented
from workloads.localization.candidates import Candidates, Clock

# At most this much is decoded at the same time: photographs of a phone have 12 million pixels.
BATCH_IMAGES = 16
BATCH_PIXELS = 64_000_000

Given = TypeVar("Given")
Made = TypeVar("Made")


class Finder(Protocol):
    """A localizer, as annotation needs it."""

    def candidates(
        self,
        images: Sequence[NDArray[np.uint8]],
        *,
        floor: float,
        most: int,
        keep_maps: bool,
        clock: Clock,
    ) -> list[Candidates]:
        """Candidates of each (H, W, 3) uint8 upright RGB image."""


class _Decoded(NamedTuple):
    """An image that waits for its batch; without pixels, the reason why it has none.

    Attributes:
        content: SHA-256 of the file; None if it was not read.
    """

    image_id: int
    name: str
    content: str | None
    pixels: NDArray[np.uint8] | None
    orientation: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ChunkWork:
    """Reads and annotates the files of chunks.

    Attributes:
        finders: the models; an image is read and decoded once for all of them.
        source: where the files are.
        kept: what is kept of each image.
        threads: that read and decode beside the model; 1 does so in turn with it.
        phases: where the time goes.
    """

    finders: tuple[Finder, ...]
    source: Source
    limits: ImageLimits
    kept: Kept
    threads: int = 1
    phases: Phases = field(default_factory=Phases)

    def annotate(
        self, files: Iterable[ListedFile], first_id: int, wanted: Sequence[int] = (0,)
    ) -> list[ChunkResult]:
        """All that some models find; a file that cannot be used is quarantined.

        Args:
            first_id: image id of the first file.
            wanted: numbers of the finders to ask.

        Raises:
            OSError: reading fails for a reason that is not the file's (see `Source.read`).
        """
        rows: list[list[FoundImage]] = [[] for _ in wanted]
        quarantined: list[QuarantinedFile] = []
        contents: dict[int, str] = {}
        for batch in self._batches(files, first_id, quarantined, contents):
            for own, number in zip(rows, wanted, strict=True):
                own += self._found(self.finders[number], batch)
        return [ChunkResult(tuple(own), tuple(quarantined), contents) for own in rows]

    def _batches(
        self,
        files: Iterable[ListedFile],
        first_id: int,
        quarantined: list[QuarantinedFile],
        contents: dict[int, str],
    ) -> Iterator[list[_Decoded]]:
        """Images in batches; notes what is quarantined, and the content of what was read."""
        batch: list[_Decoded] = []
        numbered = enumerate(files, start=first_id)
        for image in in_order(self._decoded, numbered, self.threads, 2 * BATCH_IMAGES):
            if image.content is not None:
                contents[image.image_id] = image.content
            if image.pixels is None:
                quarantined.append(QuarantinedFile(image.image_id, image.name, image.reason))
                continue
            batch.append(image)
            if _is_full(batch):
                yield batch
                batch = []
        if batch:
            yield batch

    def _decoded(self, numbered: tuple[int, ListedFile]) -> _Decoded:
        image_id, file = numbered
        content = None
        try:
            if file.refused is not None:
                raise InputRejected(file.refused)
            with self.phases("read"):
                data = self.source.read(file, self.limits)
                content = hashlib.sha256(data).hexdigest()
            with self.phases("decode"):
                pixels, orientation = decode_oriented(data, self.limits)
        except InputRejected as error:
            return _Decoded(image_id, file.in_part, content, None, 1, str(error))
        return _Decoded(image_id, file.in_part, content, pixels, orientation)

    def _found(self, finder: Finder, batch: Sequence[_Decoded]) -> list[FoundImage]:
        found = finder.candidates(
            [one.pixels for one in batch if one.pixels is not None],
            floor=self.kept.min_score,
            most=self.kept.classes_per_image,
            keep_maps=self.kept.maps,
            clock=self.phases,
        )
        return [
            FoundImage(one.image_id, one.name, one.orientation, candidates)
            for one, candidates in zip(batch, found, strict=True)
        ]


def in_order(
    work: Callable[[Given], Made], values: Iterable[Given], threads: int, ahead: int
) -> Iterator[Made]:
    """The results of some values, in their order.

    Args:
        threads: that work on them; 1 does it when a result is asked for.
        ahead: values that may be worked on, or be done, before they are asked for.
    """
    if threads == 1:
        yield from map(work, values)
        return
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for value in values:
            waiting.append(pool.submit(work, value))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _is_full(batch: Sequence[_Decoded]) -> bool:
    shapes = [one.pixels.shape for one in batch if one.pixels is not None]
    return len(batch) >= BATCH_IMAGES or sum(h * w for h, w, _ in shapes) >= BATCH_PIXELS
