"""Remarks of readers: leniency and news, counted by kind, said once; leniency refused if strict.

A reader calls `lenient` where it goes on although a file is not as its layout has it, and `remark`
where its user should know what was done. Both cost nothing where nobody listens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from workloads.errors import InputRejected

LENIENT = "read leniently: "


@dataclass
class Reading:
    """A time of reading.

    Attributes:
        strict: whether what is not as the layout has it is refused.
        remarks: what was done, and how often.
    """

    strict: bool = False
    remarks: Counter[str] = field(default_factory=Counter)


_CURRENT: ContextVar[Reading | None] = ContextVar("reading", default=None)


@contextmanager
def reading(*, strict: bool = False) -> Iterator[Counter[str]]:
    """Count the remarks of a block, by their text."""
    current = Reading(strict)
    token = _CURRENT.set(current)
    try:
        yield current.remarks
    finally:
        _CURRENT.reset(token)


def is_strict() -> bool:
    """Whether the current reading refuses what is not as the layout has it."""
    current = _CURRENT.get()
    return current is not None and current.strict


def remark(text: str, count: int = 1) -> None:
    """Count something that users should know.

    Args:
        text: one sentence without a full stop that is the same for all images.
    """
    current = _CURRENT.get()
    if current is not None and count:
        current.remarks[text] += count


def lenient(text: str, error: str | InputRejected, count: int = 1) -> None:
    """Count something that is read although it is not as the layout has it.

    Args:
        text: as in `remark`.
        error: what a strict reading says.

    Raises:
        InputRejected: `error`, if the reading is strict.
    """
    if is_strict():
        raise error if isinstance(error, InputRejected) else InputRejected(error)
    remark(f"{LENIENT}{text}", count)


def is_lenient(text: str) -> bool:
    """Whether a remark is of `lenient`."""
    return text.startswith(LENIENT)
