"""The seam between the interface and whatever hosts the models: on Ray, or in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pydantic import BaseModel, Field

from workloads.detections import Detections
from workloads.localization.candidates import Candidates
from workloads.localization.cutoffs import Cutoffs

State = Literal["ready", "loading", "idle", "failed"]


class ModelInfo(BaseModel, frozen=True):
    """The model version that answered."""

    name: str = Field(description="its name at this endpoint")
    version: str | None = Field(
        default=None, description="in the registry; null for a model that is a folder"
    )
    digest: str = Field(description="SHA-256 of the model's content")
    method: str
    backbone: str


class ModelStatus(BaseModel, frozen=True):
    """A model that the endpoint has.

    `refused` is a newer version that failed its warm-up; the one before it goes on answering.
    """

    info: ModelInfo
    reference: str = Field(description="what it was asked for: NAME@ALIAS, NAME/VERSION, a folder")
    classes: tuple[str, ...]
    state: State = Field(description="idle: not in memory now, loaded with the next request")
    follows: bool = Field(default=False, description="whether a new champion is rolled out")
    refused: str | None = Field(default=None, description="newer version, and why it was refused")


class Ask(BaseModel, frozen=True):
    """The choice of what is answered about an image.

    Attributes:
        min_score: class score from which a class counts as present; None: the model's.
        cutoff: of all classes, in the unit of the model's; None: the model's.
        classes: names of those to keep; all if empty.
        max_detections: the best ones, of all classes together; None: all.
        maps: whether maps belong to the answer, also of classes below `min_score`.
        overlay: whether a picture with boxes and heat does.
    """

    min_score: float | None = None
    cutoff: float | None = None
    classes: tuple[str, ...] = ()
    max_detections: int | None = None
    maps: bool = False
    overlay: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Findings in an image, boxes and points in pixels of the upright image.

    Attributes:
        orientation: EXIF's, 1 to 8, which was applied.
        detections: as asked for, best first.
        present: the classes that were kept, with their scores and points; without maps.
        candidates: all that the model may see, with maps; None unless maps were asked for.
        cutoffs: those that the boxes of `detections` were found with.
        overlay: a PNG file; None unless asked for.
        seconds: by phase: queue, decode, forward, boxes.
    """

    model: ModelInfo
    orientation: int
    detections: Detections
    present: Candidates
    cutoffs: Cutoffs
    candidates: Candidates | None = None
    overlay: bytes | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)


class Host(Protocol):
    """Models that answer.

    Attributes:
        ready: whether the default model has passed a real forward pass.
    """

    @property
    def ready(self) -> bool: ...

    def models(self) -> Sequence[ModelStatus]:
        """All models, the default one first."""

    async def detect(self, model: str | None, data: bytes, ask: Ask) -> Answer:
        """The answer for one image file.

        Args:
            model: its name; None: the default one.

        Raises:
            InputRejected: the image cannot be used.
            ConfigError: an unknown class, or a cut-off that is none.
            NotFound: there is no such model.
            Overloaded: too many wait, or the model does not answer now.
        """
