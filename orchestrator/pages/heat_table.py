"""Co-occurrence of classes, as a table of shades."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.pages.base import counted

TOGETHER_CLASSES = 16


@dataclass(frozen=True, slots=True)
class HeatRow:
    """A name and its values in [0, 1], with what a pointer on each of them says."""

    name: str
    cells: tuple[float | None, ...]
    titles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HeatTable:
    """Rows of shaded values.

    Attributes:
        groups: texts over `span` columns each.
        heads: texts over single columns, or positions of methods.
        note: what was left out.
    """

    rows: tuple[HeatRow, ...]
    groups: tuple[str, ...] = ()
    span: int = 1
    heads: tuple[str | int, ...] = ()
    note: str = ""
    decimals: int = 0

    @property
    def crowded(self) -> bool:
        """Whether the heads have to stand upright."""
        names = [head for head in self.heads if isinstance(head, str)]
        return len(names) > 10 or any(len(name) > 7 for name in names)


def together(classes: Sequence[str], cooccurrence: Sequence[Sequence[float]]) -> HeatTable:
    """(K, K) p(row | column) by class; of many classes those with most in common."""
    p = np.asarray(cooccurrence, dtype=float).reshape(len(classes), -1)
    others = np.where(np.eye(len(p), dtype=bool), 0.0, p)
    strength = np.maximum(others.max(axis=0, initial=0), others.max(axis=1, initial=0))
    kept = sorted(np.argsort(-strength, kind="stable")[:TOGETHER_CLASSES].tolist())
    names = [classes[k] for k in kept]
    left_out = len(p) - len(kept)
    return HeatTable(
        rows=tuple(
            HeatRow(
                classes[i],
                tuple(None if i == j else float(p[i, j]) for j in kept),
                tuple(f"{classes[i]} where {name} is" for name in names),
            )
            for i in kept
        ),
        heads=tuple(names),
        note=f"{_less(left_out)} left out." if left_out else "",
    )


def _less(count: int) -> str:
    return counted(count, "class that shares less is", "classes that share less are")
