"""The options of a question: the same in the query, in a form's fields and in JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, field_validator

from orchestrator.serve.api.errors import Refused
from orchestrator.serve.api.host import Ask
from workloads.errors import ConfigError, unknown_name
from workloads.options import Options

Part = Literal["boxes", "points", "map", "overlay"]

_LISTS = ("classes", "return")
_Name = Annotated[str, Field(min_length=1, max_length=500)]


class DetectOptions(Options):
    """The model that is asked, and what is asked of it."""

    model: _Name | None = Field(default=None, description="a name of /v1/models; else the default")
    min_score: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="class score from which a class counts as present; else the model's",
    )
    cutoff: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="map value from which a pixel is foreground, in the model's unit; else its own",
    )
    classes: tuple[_Name, ...] = Field(
        default=(),
        max_length=10_000,
        description="names of classes to keep, with commas between them or repeated; else all",
    )
    max_detections: int | None = Field(
        default=None, ge=1, description="so many of the best boxes; else all"
    )
    returned: tuple[Part, ...] = Field(
        default=("boxes", "points"),
        alias="return",
        min_length=1,
        description=f"parts of the answer, with commas between them: {', '.join(get_args(Part))}",
    )

    @field_validator("classes", "returned", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """Names of a text; those of a JSON list may have commas in them and stay whole."""
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value

    @property
    def ask(self) -> Ask:
        """The question as models understand it."""
        return Ask(
            min_score=self.min_score,
            cutoff=self.cutoff,
            classes=self.classes,
            max_detections=self.max_detections,
            maps="map" in self.returned,
            overlay="overlay" in self.returned,
        )


NAMES = tuple(field.alias or name for name, field in DetectOptions.model_fields.items())
"""Options as they are written."""


def parse_options(given: Iterable[tuple[str, Any]]) -> DetectOptions:
    """The options among pairs of a name and a value, as they came.

    Raises:
        Refused: one is unknown, wrong or there twice.
    """
    values: dict[str, Any] = {}
    for name, value in given:
        if name not in NAMES:
            raise Refused("invalid", unknown_name("option", name, NAMES))
        if name not in values:
            values[name] = value
        elif name in _LISTS and isinstance(value, str) and isinstance(values[name], str):
            values[name] = f"{values[name]},{value}"
        else:
            raise Refused("invalid", f"option '{name}' is given twice", "give it once")
    try:
        return DetectOptions.parse(values, "options")
    except ConfigError as error:
        raise Refused("invalid", str(error).removeprefix("options: ")) from None
