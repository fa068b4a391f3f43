"""Progress of work on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as RichProgress

from workloads.storage.addresses import with_slashes

SECONDS_BETWEEN_LINES = 5.0


def say(line: str) -> None:
    """One line for people, on stderr."""
    sys.stderr.write(f"{with_slashes(line)}\n")
    sys.stderr.flush()


class Progress:
    """Counts finished units: `with Progress(total, "images", "annotate") as p: p.advance(128)`.

    Args:
        total: how many units there are.
        unit: what is counted, in the plural.
        description: the verb.
        done: units finished by an earlier run; they count as done but not in the speed.
        console: where to write; stderr if None.

    Attributes:
        beside: more facts for the same line, "" for none.
    """

    def __init__(
        self,
        total: int,
        unit: str,
        description: str,
        done: int = 0,
        console: Console | None = None,
    ) -> None:
        self.total = total
        self.unit = unit
        self.description = description
        self.done = done
        self.beside = ""
        self._done_before = done
        self._started = self._last_line = time.monotonic()
        self._console = console or StderrConsole(stderr=True, highlight=False)
        moves = self._console.is_terminal and not self._console.is_dumb_terminal
        self._bar = self._make_bar() if moves else None

    def __enter__(self) -> Self:
        self._started = self._last_line = time.monotonic()
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif kind is None:
            self._print_line()

    def advance(self, units: int) -> None:
        """Some more units are finished."""
        self.advance_to(self.done + units)

    def advance_to(self, done: int) -> None:
        """So many units are finished in all."""
        self.done = done
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, facts=self._facts())
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._print_line()

    @property
    def per_second(self) -> float:
        """Units per second of this run; 0 before the first one."""
        seconds = time.monotonic() - self._started
        return (self.done - self._done_before) / seconds if seconds > 0 else 0.0

    def _facts(self) -> str:
        speed = self.per_second
        facts = f"{self.done}/{self.total} {self.unit}"
        if speed > 0:
            left = (self.total - self.done) / speed
            facts += f", {_rate(speed, self.unit)}, ETA {clock(left)}"
        return f"{facts}; {self.beside}" if self.beside else facts

    def _print_line(self) -> None:
        self._last_line = time.monotonic()
        self._console.print(f"{self.description}: {self._facts()}", markup=False, soft_wrap=True)

    def _make_bar(self) -> RichProgress:
        bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[facts]}", markup=False),
            console=self._console,
        )
        bar.add_task(
            escape(self.description), total=self.total, completed=self.done, facts=self._facts()
        )
        return bar


class StderrConsole(Console):
    """A console whose reader may leave (`2>&1 | head`) without ending the command."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


def _rate(per_second: float, unit: str) -> str:
    if per_second < 0.1:
        return f"{60 * per_second:.1f} {unit}/min"
    return f"{per_second:.1f} {unit}/s"


def clock(seconds: float) -> str:
    """A duration for people: 59 s, 2:05 min, 1:00 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"
