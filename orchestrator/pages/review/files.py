"""The files of a review, written while memory holds one chunk of the store or one page.

index.html         the review; it works from disk, as it only asks for files beside it
review.js          what it does
pages/N.js         the images of page N, as the argument of a function call
thumbs/ID.jpg      upright, small
quarantine.jsonl   images that could not be shown, and why
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from orchestrator.pages.base import counted, template
from orchestrator.pages.review.entry import thumbnail_name
from orchestrator.provenance import version
from workloads.annotation.parts import QuarantinedFile
from workloads.artifacts import QUARANTINE

INDEX, SCRIPT, PAGES = "index.html", "review.js", "pages"
NAMES = {INDEX, SCRIPT, PAGES, "thumbs", QUARANTINE}
_MOST_LEFT_OUT = 200


@dataclass(frozen=True, slots=True)
class About:
    """Facts about a review.

    Attributes:
        key: what decisions are kept under in the browser: of this model and these images.
        ordered: the order, in words.
        classes: what a box may be changed to.
        read: images in the store.
    """

    key: str
    model: str
    min_score: float
    ordered: str
    classes: tuple[str, ...]
    read: int
    other: str | None = None


class ReviewFolder:
    """Takes images in any order, then writes pages in the order that is wanted.

    Entries wait in a temporary file; memory has their places there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.left_out: list[QuarantinedFile] = []
        self.bytes = 0  # of thumbnails and pages
        self._places: dict[int, tuple[int, int]] = {}
        self._waiting: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        for name in (thumbnail_name(0), f"{PAGES}/0"):
            (folder / name).parent.mkdir(exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._waiting.close()

    def __len__(self) -> int:
        """Images that were added."""
        return len(self._places)

    def add(self, entry: dict[str, Any], thumbnail: bytes) -> None:
        """One image."""
        # ASCII: a line separator in a name would otherwise end a line of the script.
        line = json.dumps(entry, separators=(",", ":"), allow_nan=False).encode("ascii")
        self._places[entry["id"]] = (self._waiting.tell(), len(line))
        self._waiting.write(line)
        (self.folder / entry["thumb"]).write_bytes(thumbnail)
        self.bytes += len(thumbnail)

    def finish(self, order: Sequence[int], page_size: int, about: About) -> int:
        """Write the pages and what shows them; the number of pages.

        Args:
            order: image ids; those that were not added are left out.
        """
        shown = [image_id for image_id in order if image_id in self._places]
        pages = [shown[at : at + page_size] for at in range(0, len(shown), page_size)]
        for number, ids in enumerate(pages):
            self._write_page(number, ids)
        script = resources.files(__package__).joinpath(SCRIPT).read_text("utf-8")
        (self.folder / SCRIPT).write_text(script, encoding="utf-8")
        (self.folder / INDEX).write_text(self._index(pages, about), encoding="utf-8")
        lines = (json.dumps(asdict(file), ensure_ascii=False) + "\n" for file in self.left_out)
        (self.folder / QUARANTINE).write_text("".join(lines), encoding="utf-8")
        return len(pages)

    def _write_page(self, number: int, ids: Sequence[int]) -> None:
        path = self.folder / PAGES / f"{number}.js"
        with path.open("wb") as out:
            out.write(b"wsolReview.take(%d,[" % number)
            for index, image_id in enumerate(ids):
                place, length = self._places[image_id]
                self._waiting.seek(place)
                out.write((b",\n" if index else b"\n") + self._waiting.read(length))
            out.write(b"\n]);\n")
        self.bytes += path.stat().st_size

    def _index(self, pages: Sequence[Sequence[int]], about: About) -> str:
        shown = sum(map(len, pages))
        of = "" if shown == about.read else f" of {about.read:,}"
        return template("review/review.html.j2").render(
            model=about.model,
            lead=f"{shown:,}{of} {'image' if about.read == 1 else 'images'}, {about.ordered}",
            least=f"{about.min_score:.3g}",
            other=about.other,
            data={
                "key": about.key,
                "model": about.model,
                "min_score": about.min_score,
                "classes": list(about.classes),
                "pages": pages,
            },
            left_out=self.left_out[:_MOST_LEFT_OUT],
            left_out_title=counted(len(self.left_out), "image is", "images are") + " left out",
            more=max(0, len(self.left_out) - _MOST_LEFT_OUT),
            quarantine=QUARANTINE,
            script=SCRIPT,
            footer=f"wsol {version()}",
        )
