"""Answers on stdout, everything else for people on stderr.

With `-o json` stdout holds one JSON value and nothing else. There is no colour when a stream
is not a terminal or NO_COLOR is set.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from enum import StrEnum
from typing import Any

from pydantic_core import to_jsonable_python
from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from workloads.storage.addresses import with_slashes

EXIT_BROKEN_PIPE = 141  # as the shell reports SIGPIPE
_PIPE_WIDTH = 200  # columns of a table that goes to a file or a pipe


class Output(StrEnum):
    """The form of an answer."""

    TABLE = "table"
    JSON = "json"


def emit(value: Any, output: Output, table: Callable[[], RenderableType]) -> None:
    """Write the answer of a verb to stdout."""
    try:
        if output is Output.JSON:
            text = json.dumps(plain(value), indent=2, allow_nan=False)
            sys.stdout.write(f"{with_slashes(text)}\n")
        else:
            _console(stderr=False).print(table())
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
        raise SystemExit(EXIT_BROKEN_PIPE) from None


def note(text: str) -> None:
    """One line for people, on stderr."""
    _console(stderr=True).print(with_slashes(text), markup=False, highlight=False, soft_wrap=True)


@contextmanager
def working() -> Iterator[None]:
    """While a verb works, what libraries print goes to stderr: stdout is for the answer."""
    with redirect_stdout(sys.stderr):
        yield


def make_table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """A plain table; None is shown as a dash, numbers are right-aligned."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    body = [list(row) for row in rows]
    for index, column in enumerate(columns):
        numeric = bool(body) and all(_is_number(row[index]) for row in body)
        first = index == 0  # names stay whole: they are what a user copies
        table.add_column(Text(column), justify="right" if numeric else "left", no_wrap=first)
    for row in body:
        table.add_row(*(Text(cell(value)) for value in row))
    return table


def facts_table(facts: Mapping[str, object]) -> Table:
    """Names and values, one below the other."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), Text(cell(value)))
    return table


def spread(value: Mapping[str, float | None]) -> str | None:
    """A mean with its standard deviation, as people write them; None without a case."""
    mean, deviation = value["mean"], value.get("deviation")
    if mean is None:
        return None
    return f"{mean:.3f}" if deviation is None else f"{mean:.3f} ± {deviation:.3f}"


def cell(value: object) -> str:
    """A value as people read it."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case Mapping():
            return ", ".join(f"{k}={cell(v)}" for k, v in value.items()) or "–"
        case list() | tuple():
            return ", ".join(cell(v) for v in value) or "–"
    return with_slashes(str(value))


_BARS = " ▁▂▃▄▅▆▇█"


def bars(counts: Sequence[int]) -> str:
    """Counts as a row of bars; one that is not 0 can be seen."""
    most = max(counts, default=0) or 1
    return "".join(_BARS[math.ceil(count / most * (len(_BARS) - 1))] for count in counts)


def plain(value: Any) -> Any:
    """A value as JSON has it: dataclasses as objects, paths as strings, NaN as null."""
    return to_jsonable_python(value, inf_nan_mode="null", fallback=_of_numpy)


def _of_numpy(value: Any) -> Any:
    if hasattr(value, "tolist"):  # arrays and scalars
        return plain(value.tolist())
    raise TypeError(f"no JSON form of {type(value).__name__}")


def silence_stdout() -> None:
    """Nobody reads stdout any more: keep Python from complaining about it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _PeopleConsole(Console):
    """A console whose reader may leave (`2>&1 | head`) without ending the command."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class _AnswerConsole(Console):
    """A reader that left is for `emit` to handle; rich would exit with 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError from None


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    terminal = stream.isatty()
    colour = terminal and not os.environ.get("NO_COLOR")
    kind = _PeopleConsole if stderr else _AnswerConsole
    return kind(
        file=stream,
        force_terminal=colour,
        color_system="auto" if colour else None,
        width=None if terminal else _PIPE_WIDTH,
        highlight=False,
        emoji=False,
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
