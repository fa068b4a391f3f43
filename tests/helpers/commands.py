"""Commands in tests: in this process where nothing is killed, else in a real one of their own.

A process of its own is forked from one that has imported everything, which spares each of them
the two seconds of doing so; tests/orchestrator/cli/test_startup.py looks at how commands start.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.main import main

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "mlflow.store.tracking.sqlalchemy_store",
        "mlflow.tracking",
        "sklearn.datasets",
        "torch._dynamo",  # of optimizers
        "orchestrator.cli.main",
        "orchestrator.pipeline.run",
        "orchestrator.serve.inline",
        "orchestrator.train.worker",
        "workloads.models.localizer",
        "workloads.recipes.network",
    ]
)


@dataclass(frozen=True)
class Done:
    """A command that ended: its exit code and all that it said."""

    code: int
    out: str
    err: str

    def answer(self, code: int = 0) -> Any:
        """What `-o json` printed, of a command that ended with `code`."""
        self.said(code)
        return json.loads(self.out)

    def said(self, code: int) -> str:
        """Its stderr, of a command that ended with `code`."""
        assert self.code == code, self.err[-3000:]
        assert "Traceback" not in self.err
        return self.err


def wsol(*words: str) -> Done:
    """`wsol` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(list(words))
    return Done(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def start_wsol(*words: str, said: Path) -> BaseProcess:
    """`wsol` in a process of its own; what it says is appended to a file."""
    return start(main, list(words), said=said)


def start(function: Callable[..., object], *arguments: object, said: Path) -> BaseProcess:
    """A function of a module that can be imported, in a process of its own."""
    said.touch()
    environment = dict(os.environ)
    process = _CONTEXT.Process(target=_into, args=(said, environment, function, *arguments))
    process.start()
    return process


def _into(
    said: Path, environment: dict[str, str], function: Callable[..., object], *arguments: object
) -> None:
    os.environ.clear()  # of the moment at which the server that forks was started
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored below a script's `&`
    with said.open("ab") as stream:
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
    function(*arguments)


def wait_until(
    condition: Callable[[], bool],
    process: BaseProcess,
    said: Path,
    timeout_s: float = 180.0,
    every_s: float = 0.01,
) -> None:
    """Until something came true, while the process lives."""
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert process.is_alive(), said.read_text()[-3000:]
        assert time.monotonic() < give_up, said.read_text()[-3000:]
        time.sleep(every_s)
