"""The outcome of a pipeline, as its report tells it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Champion:
    """The registered version that won on the validation split.

    Attributes:
        digest: content digest of the model.
        metric: validation metric that chose it.
        values: recipe name to its value of that metric.
    """

    name: str
    version: int
    digest: str
    alias: str
    recipe: str
    metric: str
    values: dict[str, float]

    @property
    def reference(self) -> str:
        """The version itself: an alias may move while a pipeline runs."""
        return f"{self.name}/{self.version}"


@dataclass(frozen=True, slots=True)
class Served:
    """The endpoint's answer for one annotated image.

    Attributes:
        image: name of its file in the annotated folder.
        answer: JSON of `/v1/detect`.
    """

    image: str
    answer: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a pipeline, beside the runs of its recipes.

    Attributes:
        images: the folder that was annotated.
        listed, read, boxes: files in it, those that are images, and boxes in them.
        quarantines: stage name to its list of inputs left out, for stages that left some out.
        seconds: time of each stage, in the order in which they ran.
    """

    champion: Champion
    images: Path
    listed: int
    read: int
    boxes: int
    served: Served
    quarantines: dict[str, Path]
    seconds: dict[str, float]
