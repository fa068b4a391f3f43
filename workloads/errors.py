"""The exception tree, with the exit code and the HTTP status of each error.

WsolError                 1    500   something failed
├── ConfigError           2    422   a setting, option, name or argument is wrong
├── InputRejected         2    422   one image or annotation cannot be used (batches quarantine it)
│   ├── TooLarge          2    413   over a limit on bytes or pixels
│   └── NotAnImage        2    415   not a file of an allowed image format
├── NotFound              4    404   a run, alias, model version, folder or split is missing
├── Conflict              5    409   the name is taken, or what stands there is no worse
├── IntegrityError        6    500   files differ from their manifest
├── ResourceError         7    507   disk full, port occupied, too few CPUs or GPUs
├── ClusterError          8    503   the cluster cannot be reached
│   └── StorageError      8    503   object storage cannot be reached, or does not let us in
└── Overloaded            9    503   the service cannot take more work now

Exit code 3 is no error: the command finished, but some inputs were quarantined.
Exit code 10: the job was stopped. 11: it was not done in time. 130: Ctrl-C.

Every message is one line that says what was given, what is allowed and what to do.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

EXIT_QUARANTINED = 3
EXIT_STOPPED = 10
EXIT_TIMED_OUT = 11
EXIT_INTERRUPTED = 130


class WsolError(Exception):
    """Base of all errors that users see as one line."""

    exit_code = 1
    http_status = 500


class ConfigError(WsolError):
    """A setting, option, name or argument is wrong."""

    exit_code = 2
    http_status = 422


class InputRejected(WsolError):
    """One image or annotation cannot be used; batches quarantine it with this reason."""

    exit_code = 2
    http_status = 422


class TooLarge(InputRejected):
    """An input is over a limit on bytes or pixels."""

    http_status = 413


class NotAnImage(InputRejected):
    """An input is not a file of an allowed image format."""

    http_status = 415


class NotFound(WsolError):
    """A run, alias, model version, folder or split is missing."""

    exit_code = 4
    http_status = 404


class Conflict(WsolError):
    """The name is taken by something finished or different, or what stands there is no worse."""

    exit_code = 5
    http_status = 409


class IntegrityError(WsolError):
    """Files differ from their manifest."""

    exit_code = 6
    http_status = 500


class ResourceError(WsolError):
    """Disk full, port occupied, too few CPUs or GPUs."""

    exit_code = 7
    http_status = 507


class ClusterError(WsolError):
    """The cluster cannot be reached."""

    exit_code = 8
    http_status = 503


class StorageError(ClusterError, OSError):
    """Object storage cannot be reached, or does not let us in.

    It is an `OSError` as well, so that who can go on without a file does.
    """


class Overloaded(WsolError):
    """The service cannot take more work now."""

    exit_code = 9
    http_status = 503


def unknown_name(kind: str, given: str, allowed: Iterable[str]) -> str:
    """One line for an unknown name: what was given, the nearest match, all that is allowed."""
    names = sorted(allowed)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"unknown {kind} '{given}'{hint} (allowed: {', '.join(names)})"


def first_of(names: Sequence[str], most: int = 8) -> str:
    """Some names for a message, and how many more there are."""
    more = len(names) - most
    return f"{', '.join(names[:most])}{f' and {more} more' if more > 0 else ''}"


_MAX_CHARACTERS = 2000


_DISK_FULL = ("no space left on device", "disk is full", "disk quota exceeded")


def says_disk_full(text: str) -> bool:
    """Whether an error's words mean a full disk; libraries in C and Rust give no number."""
    return any(words in text.lower() for words in _DISK_FULL)


def one_line(text: str) -> str:
    """Printable text on one line, without passwords of addresses, cut if it is very long."""
    flat = " ".join(text.split())
    flat = re.sub(r"(?<=//)[^/\s]+@", "***@", flat)
    flat = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in flat)
    return flat if len(flat) <= _MAX_CHARACTERS else flat[: _MAX_CHARACTERS - 1] + "…"
