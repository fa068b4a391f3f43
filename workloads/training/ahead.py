"""Make values of an iterator ahead of their use, in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")
_WAIT_S = 0.1


def ahead_of(values: Iterator[T], most: int) -> Iterator[T]:
    """The same values in the same order; errors come when their value is asked for.

    The thread ends with the values, or when the iterator is closed.

    Args:
        most: values that may wait to be asked for; 0 makes each when it is asked for.
    """
    return _ahead(values, most) if most else values


def _ahead(values: Iterator[T], most: int) -> Iterator[T]:
    ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(most)
    closed = threading.Event()

    def put(value: T | None, error: BaseException | None) -> None:
        while not closed.is_set():
            try:
                ready.put((value, error), timeout=_WAIT_S)
            except queue.Full:
                continue
            return

    def make() -> None:
        try:
            for value in values:
                put(value, None)
                if closed.is_set():
                    break
            put(None, _End())
        except BaseException as error:  # raised in the thread that waits for it
            put(None, error)
        finally:
            if closed.is_set() and hasattr(values, "close"):
                values.close()

    maker = threading.Thread(target=make, name="batches-ahead", daemon=True)
    maker.start()
    try:
        while True:
            value, error = ready.get()
            if isinstance(error, _End):
                return
            if error is not None:
                raise error
            yield value  # type: ignore[misc]  # no error: it is a value
    finally:
        closed.set()
        maker.join()


class _End(Exception):
    """There are no more values."""
