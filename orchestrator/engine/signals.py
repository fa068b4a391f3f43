"""SIGTERM as an end that leaves nothing behind, with exit code 143."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

EXIT_TERMINATED = 128 + signal.SIGTERM


@contextmanager
def ending_by_sigterm() -> Iterator[None]:
    """SIGTERM as an exit that lets go of what is held; Ray's own handler ends with a C++ trace."""
    if not _is_main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def sigterm_at_the_end() -> Iterator[None]:
    """Exit after the block if SIGTERM came in it, whatever handlers are set there meanwhile.

    For what cannot be stopped half-way: Ray sets its own while it starts, which leaves at once
    with code 15 and processes behind.
    """
    if not _is_main_thread():
        yield
        return
    told: list[bool] = []
    before = signal.signal(signal.SIGTERM, lambda *_: told.append(True))
    set_handler = signal.signal

    def keep_sigterm(number: int, handler: Any) -> Any:
        return before if number == signal.SIGTERM else set_handler(number, handler)

    try:
        with mock.patch.object(signal, "signal", keep_sigterm):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)
    if told:
        _terminate()


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _terminate(*_: object) -> None:
    raise SystemExit(EXIT_TERMINATED)
