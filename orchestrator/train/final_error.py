"""Errors of a training that another attempt would repeat: a bad image, a loss that is not finite.

Ray Train restarts its workers after any error and has no word for one that stays. So the worker
that meets it leaves a note beside the run, workers that are started again end at once, and the
command raises what the note says.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.config.workspace import RunPaths
from workloads import errors
from workloads.artifacts import exists, read_json, remove, write_json
from workloads.errors import ClusterError, ResourceError, WsolError

# A disk may have been emptied, a cluster may come back.
_PASSES = (ResourceError, ClusterError)


@contextmanager
def noted_if_final(paths: RunPaths) -> Iterator[None]:
    """Around a worker: leave a note of an error that will come again; the first note stays."""
    try:
        yield
    except WsolError as error:
        if not isinstance(error, _PASSES) and not has_final_error(paths):
            write_json(paths.final_error, {"kind": type(error).__name__, "message": str(error)})
        raise


def has_final_error(paths: RunPaths) -> bool:
    """Whether a worker of this training has left a note."""
    return exists(paths.final_error)


@contextmanager
def final_error_raised(paths: RunPaths) -> Iterator[None]:
    """Around all attempts of a training: forget older notes, and raise what a new one says."""
    if has_final_error(paths):
        remove(paths.final_error)
    try:
        yield
    finally:
        if has_final_error(paths):
            note = read_json(paths.final_error)
            raise getattr(errors, note["kind"])(note["message"])
