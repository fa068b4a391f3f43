"""Truth in several columns of a table: the numbers of a box, or a column for each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workloads.datasets.table_rows import Row, is_missing
from workloads.errors import ConfigError, InputRejected

_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("x1", "y1", "x2", "y2"),
    ("x0", "y0", "x1", "y1"),
    ("left", "top", "right", "bottom"),
)
_SIDES = (
    ("x", "y", "w", "h"),
    ("x", "y", "width", "height"),
    ("left", "top", "width", "height"),
    ("bbox_x", "bbox_y", "bbox_width", "bbox_height"),
)
_BITS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}


@dataclass(frozen=True, slots=True)
class BoxColumns:
    """Four columns with the numbers of one box.

    Attributes:
        corners: two corners; else a corner, width and height.
    """

    names: tuple[str, str, str, str]
    corners: bool

    def __str__(self) -> str:
        meaning = "two corners" if self.corners else "a corner, width and height"
        return f"{', '.join(self.names)} ({meaning})"

    def box(self, row: Row) -> list[float] | None:
        """x, y, width and height; None if the row has no number.

        Raises:
            InputRejected: it has some, or they are none.
        """
        values = [row.values.get(name) for name in self.names]
        if all(map(is_missing, values)):
            return None
        try:
            x, y, w, h = (float(value) for value in values)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise InputRejected(
                f"row {row.number + 1}: box {values!r}: give four numbers, or none"
            ) from None
        return [x, y, w - x, h - y] if self.corners else [x, y, w, h]


def box_columns(columns: Sequence[str], where: str) -> BoxColumns | None:
    """The columns of a box by the names that people give them; None if there are none.

    Raises:
        ConfigError: they can be read in two ways.
    """
    found = [
        BoxColumns(names, corners)
        for sets, corners in ((_CORNERS, True), (_SIDES, False))
        for spelling in sets
        if (names := _named(spelling, columns)) is not None
    ]
    if len(found) > 1:
        raise ConfigError(
            f"{where}: boxes could be {found[0]} or {found[1]}; choose with "
            f"ingest.options.box_column={','.join(found[0].names)}, or '' for no boxes"
        )
    return found[0] if found else None


def given_box_columns(given: str, columns: Sequence[str], *, corners: bool) -> BoxColumns | None:
    """Four columns that an option names, separated by commas; None if it names no four.

    Args:
        corners: what they mean, if their names do not tell.
    """
    words = tuple(word.strip() for word in given.split(","))
    if len(words) != 4 or not set(words) <= set(columns):
        return None
    a, b, c, d = words
    known = box_columns(words, "")
    return BoxColumns((a, b, c, d), known.corners if known else corners)


def class_columns(columns: Sequence[str], rows: Sequence[Row], where: str) -> tuple[str, ...]:
    """Columns of which each says by 0 or 1 whether its class is in the image; () without any.

    Args:
        columns: those that are not known to be something else.

    Raises:
        ConfigError: some hold 0 and 1 and others do not, so that it is not clear which are classes.
    """
    bits = [c for c in columns if rows and all(_bit(row.values.get(c)) is not None for row in rows)]
    if len(bits) < 2:
        return ()
    others = [column for column in columns if column not in bits]
    if others:
        raise ConfigError(
            f"{where}: columns {', '.join(bits)} hold 0 and 1, {', '.join(others)} other values: "
            f"name those of classes with ingest.options.label={','.join(bits)}"
        )
    return tuple(bits)


def given_class_columns(given: str, columns: Sequence[str]) -> tuple[str, ...]:
    """Columns of classes that an option names, separated by commas; () if it names no such."""
    words = tuple(word.strip() for word in given.split(","))
    return words if len(words) > 1 and set(words) <= set(columns) else ()


def classes_of(row: Row, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns with a 1.

    Raises:
        InputRejected: a value is neither 0 nor 1.
    """
    found = []
    for column in columns:
        value = row.values.get(column)
        bit = _bit(value)
        if bit is None:
            raise InputRejected(
                f"row {row.number + 1}: column '{column}' has {value!r}; give 0 or 1"
            )
        if bit:
            found.append(column)
    return tuple(found)


def _named(spelling: Sequence[str], columns: Sequence[str]) -> tuple[str, str, str, str] | None:
    folded = {name.strip().casefold(): name for name in reversed(columns)}
    if not all(word in folded for word in spelling):
        return None
    a, b, c, d = (folded[word] for word in spelling)
    return a, b, c, d


def _bit(value: Any) -> bool | None:
    return _BITS.get(str(value).strip().casefold())
