"""The shapes of answers under /v1, typed."""

from __future__ import annotations

from pydantic import BaseModel, Field

from orchestrator.serve.api.errors import Problem
from orchestrator.serve.api.host import ModelInfo, State
from workloads.localization.cutoffs import Cutoffs

Box = tuple[float, float, float, float]
Point = tuple[float, float]

_EXAMPLE_BOX = (12.0, 8.0, 301.5, 220.0)


class Detection(BaseModel):
    """One box with its class."""

    label: int = Field(description="class index, from 0")
    class_name: str = Field(alias="class", description="class name")
    score: float = Field(description="of the box; higher is better")
    class_score: float = Field(description="of its class in this image")
    box: Box | None = Field(
        default=None,
        description="x0, y0, x1, y1 in pixels of the upright image, half-open",
        examples=[_EXAMPLE_BOX],
    )
    point: Point | None = Field(
        default=None, description="x, y of the hottest pixel of its class, in the upright image"
    )


class Present(BaseModel):
    """A class that is in the image, whether it got a box or not."""

    label: int = Field(description="class index, from 0")
    class_name: str = Field(alias="class", description="class name")
    score: float = Field(description="of the class")
    point: Point | None = Field(
        default=None, description="x, y of its hottest pixel, in the upright image"
    )


class Scale(BaseModel):
    """One map of a class."""

    height: int = Field(description="rows")
    width: int = Field(description="columns")
    low: float = Field(description="the least value")
    high: float = Field(description="the greatest value")
    values: str = Field(
        description="base64 of uint16, little-endian, row by row: low + v * (high - low) / 65535"
    )


class ClassMaps(Present):
    """The maps of a class, the main scale first."""

    scales: list[Scale]


class Maps(BaseModel):
    """Maps of all classes that the model may see, also of those below `min_score`."""

    cutoffs: Cutoffs = Field(description="that the boxes of this answer were found with")
    min_score: float = Field(description="class score from which a class counted as present")
    classes: list[ClassMaps]


class Found(BaseModel):
    """All that was found in one image, best box first."""

    model: ModelInfo
    width: int = Field(description="of the upright image, in pixels")
    height: int = Field(description="of the upright image, in pixels")
    orientation: int = Field(ge=1, le=8, description="EXIF's, which was applied")
    detections: list[Detection]
    classes: list[Present]
    maps: Maps | None = Field(default=None, description="null unless asked for")
    overlay: str | None = Field(
        default=None, description="a PNG as a data: URI; null unless asked for"
    )
    timings_ms: dict[str, float] = Field(description="milliseconds of each phase, and total")


class DetectAnswer(Found):
    """The answer about one image."""

    request_id: str = Field(description="as in the header X-Request-Id")


class BatchFound(Found):
    """The answer about one image of several."""

    name: str = Field(description="of the file; of JSON its place in the list, from 0")


class BatchFailed(BaseModel):
    """An image of several that could not be used."""

    name: str = Field(description="of the file; of JSON its place in the list, from 0")
    error: Problem


class BatchAnswer(BaseModel):
    """Answers about several images, in their order."""

    request_id: str = Field(description="as in the header X-Request-Id")
    results: list[BatchFound | BatchFailed]
    failed: int = Field(description="images with an error")


class ModelRow(ModelInfo, frozen=True):
    """A model of this endpoint."""

    reference: str = Field(description="what it was asked for: NAME@ALIAS, NAME/VERSION, a folder")
    classes: tuple[str, ...]
    state: State = Field(description="idle: not in memory now, loaded with the next request")
    follows: bool = Field(description="whether a new champion is rolled out")
    refused: str | None = Field(description="a newer version, and why it was refused")
    default: bool = Field(description="whether it answers where no model is named")


class ModelList(BaseModel):
    """The models of this endpoint, the default one first."""

    models: list[ModelRow]


class Status(BaseModel):
    """State of the endpoint."""

    status: str
