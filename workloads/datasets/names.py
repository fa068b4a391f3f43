"""Names as people see them: one spelling for what looks the same, and numbers in their order."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from workloads.errors import InputRejected

NaturalKey = tuple[tuple[str | int, ...], str]


def shown(name: str) -> str:
    """A name in one spelling: composed characters (a Mac's folders have others), no white space
    around it."""
    return unicodedata.normalize("NFC", name).strip()


def alike(name: str) -> str:
    """The common form of names that people take for the same: one case, single blanks."""
    return " ".join(shown(name).casefold().split())


def natural_key(name: str) -> NaturalKey:
    """Sorts numbers in names as numbers: "class 2" before "class 10"."""
    parts = re.split(r"([0-9]+)", name.casefold())  # text and numbers in turns
    return tuple(int(p) if n % 2 else p for n, p in enumerate(parts)), name


def ordered_classes(names: Iterable[str], what: str) -> tuple[str, ...]:
    """Each name once, in natural order.

    Raises:
        InputRejected: two names differ in case or blanks only; `what` says where.
    """
    found: dict[str, str] = {}
    for name in names:
        other = found.setdefault(alike(name), name)
        if other != name:
            raise InputRejected(
                f"{what}: classes '{other}' and '{name}' differ in case or blanks only; "
                "write both in one way"
            )
    return tuple(sorted(found.values(), key=natural_key))
