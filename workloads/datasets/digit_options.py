"""Options of the embedded digit data sets, and checks that they can be drawn."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from workloads.options import Options

Split = Literal["train", "val", "test"]

SPLITS: tuple[Split, ...] = ("train", "val", "test")
MAX_OBJECTS = 3
SMALL = (12, 16)  # height of small digits in pixels, inclusive
MAX_ZOOM = 2.0  # of a piece of photograph
_MAX_WIDTH, _MAX_HEIGHT = 80, 213  # what the narrowest strip of photograph holds at that zoom
_TURNED = 1.2  # a digit of height 1 that is turned fits into a square of this side


class DigitsOptions(Options):
    """Options of the data set "digits"; equal options make equal files.

    A companion stands right beside the digit that brings it. So its context speaks for it (what
    rescoring with co-occurrence can use), and misleads a plain CAM, which points at the context.
    """

    seed: int = Field(default=0, ge=0, description="of the random generator")
    train: int = Field(default=6000, ge=0, description="number of images in the split train")
    val: int = Field(default=500, ge=0, description="number of images in the split val")
    test: int = Field(default=500, ge=0, description="number of images in the split test")
    small: float = Field(default=0.25, ge=0, le=1, description="share of digits 12 to 16 px high")
    difficult: float = Field(
        default=0.12, ge=0, le=1, description="share of faint, hidden or tiny digits, first aside"
    )
    pairs: tuple[tuple[int, int], ...] = Field(
        default=((1, 7), (3, 8)), description="digits of which the first brings the second"
    )
    companion: float = Field(
        default=0.9, ge=0, le=1, description="probability that the first of a pair does so"
    )
    clutter: int = Field(default=5, ge=0, le=50, description="most fragments of digits per image")
    sizes: tuple[tuple[int, int], ...] = Field(
        default=((64, 64), (80, 64), (64, 80)),
        min_length=1,
        description="widths and heights of the images, px",
    )
    heights: tuple[int, int] = Field(
        default=(18, 36), description="heights of digits that are not small, px"
    )
    groups: tuple[float, ...] = Field(
        default=(0.35, 0.4, 0.25),
        description="probabilities of 1, 2, ... digits, companions aside; at most three",
    )
    bodies: tuple[float, float] | None = Field(
        default=None,
        description="least and greatest size of an object, in that of the digit which is its mark; "
        "null: the digit itself is the object",
    )
    quality: int = Field(default=92, ge=1, le=95, description="of the JPEG files")

    @field_validator("groups")
    @classmethod
    def _probabilities(cls, groups: tuple[float, ...]) -> tuple[float, ...]:
        if not 1 <= len(groups) <= MAX_OBJECTS or min(groups) < 0 or abs(sum(groups) - 1) > 1e-6:
            raise ValueError(f"give 1 to {MAX_OBJECTS} probabilities that add up to 1")
        return groups

    @field_validator("pairs")
    @classmethod
    def _one_companion_each(cls, pairs: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        digits = {digit for pair in pairs for digit in pair}
        if not digits <= set(range(10)) or len({first for first, _ in pairs}) < len(pairs):
            raise ValueError("give pairs of digits from 0 to 9, each digit first in one at most")
        return pairs

    @model_validator(mode="after")
    def _digits_fit(self) -> Self:
        low, high = self.heights
        if not 1 <= low <= high:
            raise ValueError(f"heights are {low} to {high}; give at least 1, the lower one first")
        if self.bodies is not None and not 1 <= self.bodies[0] <= self.bodies[1]:
            raise ValueError(f"bodies are {self.bodies}; give at least 1, the lower one first")
        largest = max(high, SMALL[1]) * (self.bodies[1] if self.bodies else 1)
        least = math.ceil(_TURNED * largest)
        for width, height in self.sizes:
            if min(width, height) < least or width > _MAX_WIDTH or height > _MAX_HEIGHT:
                raise ValueError(
                    f"sizes have {width}x{height}; objects of {largest:g} px need at least "
                    f"{least}x{least}, the photographs hold {_MAX_WIDTH}x{_MAX_HEIGHT}"
                )
        return self

    def count(self, split: Split) -> int:
        """Number of images of a split."""
        return {"train": self.train, "val": self.val, "test": self.test}[split]


class SingleDigitsOptions(DigitsOptions):
    """The same drawing, with one large digit in a small image: for pretraining."""

    train: int = Field(default=10_000, ge=0, description="number of images in the split train")
    small: float = Field(default=0.0, ge=0, le=1, description="share of digits 12 to 16 px high")
    difficult: float = Field(default=0.0, ge=0, le=1, description="share of difficult digits")
    companion: float = Field(default=0.0, ge=0, le=1, description="probability of a companion")
    clutter: int = Field(default=2, ge=0, le=50, description="most fragments of digits per image")
    sizes: tuple[tuple[int, int], ...] = Field(
        default=((32, 32),), min_length=1, description="widths and heights of the images, px"
    )
    heights: tuple[int, int] = Field(default=(12, 26), description="heights of digits, px")
    groups: tuple[float, ...] = Field(default=(1.0,), description="one digit in each image")
