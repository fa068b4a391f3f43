"""A sweep to look at while it runs: a table of its trials on a terminal, lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.live import Live
from rich.table import Table

from orchestrator.config.workspace import SweepPaths
from orchestrator.engine.progress import StderrConsole, clock, say
from orchestrator.sweep.trial import TrialsSpec
from orchestrator.sweep.trials import Trial, Trials, short
from orchestrator.tracking.events import learning_curves
from workloads.artifacts import exists, read_json
from workloads.errors import IntegrityError, NotFound

LINE_S, TABLE_S = 15.0, 1.0
SHOWN = 20


@contextmanager
def watched(spec: TrialsSpec, paths: SweepPaths) -> Iterator[None]:
    """For the time of the block, show how far the trials are."""
    console = StderrConsole(stderr=True, highlight=False)
    moves = console.is_terminal and not console.is_dumb_terminal
    live = Live(console=console, transient=True, auto_refresh=False) if moves else None
    stop = threading.Event()
    view = _View(spec, paths)
    thread = threading.Thread(target=_follow, args=(view, live, stop), daemon=True)
    if live:
        live.start()
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        if live:
            live.stop()


def _follow(view: _View, live: Live | None, stop: threading.Event) -> None:
    while not stop.wait(TABLE_S if live else LINE_S):
        if live:
            live.update(view.table(), refresh=True)
        else:
            say(view.line())


class _View:
    def __init__(self, spec: TrialsSpec, paths: SweepPaths) -> None:
        self._spec, self._paths = spec, paths
        self._trials = Trials(paths)
        self._started = time.monotonic()
        self._ended_before = sum(t.ended for t in self._trials.read().values())

    def line(self) -> str:
        """The number that has ended, and how far the others are."""
        trials = list(self._trials.read().values())
        running = [f"trial {t.number} {self._place(t)}" for t in trials if not t.ended]
        where = ", ".join(running) or "none runs"
        return f"sweep {self._paths.name}: {self._summary(trials)}; {where}"

    def table(self) -> Table:
        """Trials, those with the best values first."""
        trials = list(self._trials.read().values())
        table = Table(title=f"sweep {self._paths.name}: {self._summary(trials)}")
        names = list(trials[0].values) if trials else []
        varied = [n for n in names if len({str(t.values[n]) for t in trials}) > 1]
        for head in ("trial", "state", "epoch", self._spec.metric, *varied):
            table.add_column(head, no_wrap=True)
        ranked = sorted(trials, key=lambda t: (t.value is None, -(t.value or 0.0), t.number))
        for trial in ranked[:SHOWN]:
            value = "" if trial.value is None else f"{trial.value:.4f}"
            points = (short(trial.values[name]) for name in varied)
            table.add_row(str(trial.number), trial.state, self._place(trial), value, *points)
        return table

    def _summary(self, trials: list[Trial]) -> str:
        ended, total = sum(t.ended for t in trials), self._spec.options.trials
        done = ended - self._ended_before
        if not done:
            return f"{ended}/{total} trials"
        left = (total - ended) * (time.monotonic() - self._started) / done
        return f"{ended}/{total} trials, ETA {clock(left)}"

    def _place(self, trial: Trial) -> str:
        """The epoch of a trial, as `done/all`."""
        epochs = self._spec.job.epochs(trial.values)
        if trial.ended:
            return f"{trial.epochs}/{epochs}"
        run = self._paths.trial(trial.number)
        curve = learning_curves(run.events) if exists(run.events) else []
        try:
            progress = read_json(run.progress)
            return f"epoch {epochs * progress['done'] / progress['total']:.1f}/{epochs}"
        except (OSError, NotFound, IntegrityError):  # not written yet
            return f"epoch {len(curve)}/{epochs}"
