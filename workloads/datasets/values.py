"""Single values as people's tools write them: numbers as text, flags in words, sizes of 0."""

from __future__ import annotations

import math

from workloads.datasets.remarks import lenient
from workloads.errors import InputRejected

TEXT_NUMBER = "numbers written as text were read as numbers"
ODD_FLAG = "flags that are neither 0 nor 1 were read as what they mean, and as 0 if unclear"
NO_SIZE = "stated sizes that are no numbers, 0 or half were not compared with the image"

_TRUE = ("true", "yes", "y", "t")


def number(value: object, what: str) -> float:
    """A finite number, given as one or as text.

    Raises:
        InputRejected: it is none; the message names `what`.
    """
    try:
        found = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise InputRejected(f"{what} is '{value}', not a number; correct it")
    return found


def odd_flag(value: object, what: str) -> bool:
    """A flag that is neither 0 nor 1: "true", null, "Unspecified".

    Raises:
        InputRejected: the reading is strict; the message names `what`.
    """
    lenient(ODD_FLAG, f"{what} is '{value}' (allowed: 0, 1)")
    text = str(value).strip().lower()
    return text in _TRUE or _positive(text)


def side(value: object) -> float | None:
    """A side of an image in pixels; None if it is unknown: missing, no number, 0 or below."""
    try:
        found = number(value, "a side")
    except InputRejected:
        return None
    return found if found > 0 else None


def _positive(text: str) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False
