"""Every error as one line and one exit code. Pure: nothing is printed here.

Ray hands a worker's error over in a wrapper (often several), so the causes are searched; Ray
itself is never imported for that.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass

import typer

from workloads.compile_cache import REMEDY
from workloads.errors import (
    EXIT_INTERRUPTED,
    ClusterError,
    ResourceError,
    WsolError,
    one_line,
    says_disk_full,
)
from workloads.storage.addresses import with_slashes

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_RAY_ERRORS: dict[str, type[WsolError]] = {
    "OutOfMemoryError": ResourceError,
    "OutOfDiskError": ResourceError,
    "ObjectStoreFullError": ResourceError,
    "AuthenticationError": ClusterError,
    "ActorDiedError": ClusterError,
    "ActorUnavailableError": ClusterError,
    "LocalRayletDiedError": ClusterError,
    "NodeDiedError": ClusterError,
    "OwnerDiedError": ClusterError,
    "RaySystemError": ClusterError,
    "WorkerCrashedError": ClusterError,
}

_PEER_GONE = ("gloo/transport/", "ncclRemoteError")  # of torch's two ways between processes


@dataclass(frozen=True, slots=True)
class Failure:
    """The end of a command that failed.

    Attributes:
        exit_code: as drawn in `workloads.errors`; 2 for wrong usage.
        message: one printable line; empty if there is nothing left to say.
    """

    exit_code: int
    message: str


def explain(error: BaseException) -> Failure:
    """The failure that a user sees for any exception.

    A specific error of ours wins, then a full disk, then our general error, then what the
    operating system or Ray says; the rest is an internal error.
    """
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return Failure(EXIT_INTERRUPTED, "interrupted")
    if isinstance(error, typer.TyperException):
        return Failure(error.exit_code, one_line(_usage(error)))
    chain = list(causes(error))
    known = (
        _ours(chain, specific=True)
        or _disk_full(chain)
        or _ours(chain, specific=False)
        or _out_of_memory(chain)
        or _from_ray(chain)
        or _without_peers(chain)
        or _from_system(chain)
        or _not_compiled(chain)
    )
    if known:
        return Failure(known.exit_code, with_slashes(one_line(str(known))))
    return Failure(1, one_line(_internal(chain)))


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that caused it, nearest first, each once, wrappers of Ray left out."""
    waiting, seen = [error], set[int]()
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        inner = _wrapped(current)
        if not inner:
            yield current
            inner = _python_causes(current)
        waiting += inner


def _wrapped(error: BaseException) -> list[BaseException]:
    """Errors inside a wrapper: Ray's task error, Train's failures, an exception group."""
    failures = getattr(error, "worker_failures", None)
    found = [
        getattr(error, "cause", None),
        getattr(error, "controller_failure", None),
        getattr(error, "health_check_failure", None),
        *(failures.values() if isinstance(failures, dict) else ()),
        *getattr(error, "exceptions", ()),
    ]
    return [e for e in found if isinstance(e, BaseException)]


def _python_causes(error: BaseException) -> list[BaseException]:
    cause = error.__cause__
    if cause is None and not error.__suppress_context__:
        cause = error.__context__
    return [] if cause is None else [cause]


def _ours(chain: list[BaseException], *, specific: bool) -> WsolError | None:
    ours = (e for e in chain if isinstance(e, WsolError))
    return next((e for e in ours if (type(e) is not WsolError) is specific), None)


def _disk_full(chain: list[BaseException]) -> WsolError | None:
    for error in chain:
        if isinstance(error, OSError) and error.errno in _NO_SPACE:
            where = f": {error.filename}" if error.filename else ""
            return ResourceError(f"disk full{where}; free some space and run it again")
        if says_disk_full(str(error)):
            return ResourceError(f"disk full: {error}; free some space and run it again")
    return None


def _out_of_memory(chain: list[BaseException]) -> WsolError | None:
    if any(isinstance(e, MemoryError) for e in chain):
        return ResourceError("out of memory; use fewer workers or actors, or a smaller batch")
    return None


def _from_ray(chain: list[BaseException]) -> WsolError | None:
    for error in chain:
        kind = _RAY_ERRORS.get(type(error).__name__)
        if kind and type(error).__module__.startswith("ray."):
            return kind(f"Ray: {type(error).__name__}: {error}")
    return None


def _without_peers(chain: list[BaseException]) -> WsolError | None:
    """A training worker whose neighbour went first; Ray may not have noticed that yet."""
    if any(words in str(error) for error in chain for words in _PEER_GONE):
        return ClusterError("a training worker was lost: the others do not reach it any more")
    return None


def _from_system(chain: list[BaseException]) -> WsolError | None:
    error = next((e for e in chain if isinstance(e, OSError)), None)
    if error is None:
        return None
    # The system starts its words with a capital, and here they follow a path.
    said = f"{error.strerror[:1].lower()}{error.strerror[1:]}" if error.strerror else str(error)
    words = said or type(error).__name__
    where = f"{error.filename}: " if error.filename else ""
    if error.errno == errno.EADDRINUSE:
        return ResourceError(f"{where}{words}; choose another port")
    return WsolError(f"{where}{words}")


def _not_compiled(chain: list[BaseException]) -> WsolError | None:
    """Numba found no folder for compiled code, and says so in words of its own."""
    if any("no locator available" in str(e) for e in chain if isinstance(e, RuntimeError)):
        return WsolError(f"no folder for compiled code can be written; {REMEDY}")
    return None


def _usage(error: typer.TyperException) -> str:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    if not message or context is None:  # empty: the help was shown instead
        return message
    return f"{message.rstrip('.')} (see '{context.command_path} --help')"


def _internal(chain: list[BaseException]) -> str:
    error = chain[0]
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"internal error: {what} (run again with --debug for the traceback)"
