"""Errors of workers as they were raised there, without Ray's wrapper."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from workloads.errors import WsolError


@contextmanager
def plain_worker_errors() -> Iterator[None]:
    """Within it, an OSError or WsolError of a Ray Data worker is raised here as itself.

    So a full disk is an OSError with its number, and a changed model an IntegrityError. Ray
    would keep no more than their text.
    """
    from ray.data import DataContext
    from ray.exceptions import RayTaskError

    DataContext.get_current().raise_original_map_exception = True
    try:
        yield
    except RayTaskError as error:
        if isinstance(error.cause, OSError | WsolError):
            raise error.cause from error
        raise
