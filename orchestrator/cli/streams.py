"""The three standard streams as a command finds them: closed, or in an encoding of few letters."""

from __future__ import annotations

import codecs
import io
import os
import sys

from workloads.errors import ConfigError

_LOOK_ALIKES = {"–": "-", "—": "-", "…": "...", "×": "x", "·": "*", "≥": ">=", "≤": "<=", "→": "->"}
_ERRORS = "wsol.plain"


def prepare() -> None:
    """Make the streams safe to write to, whatever the command and its libraries say.

    Raises:
        ConfigError: stdout is closed, so there would be no answer.
    """
    is_closed = sys.stdout is None
    _occupy()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)
    if is_closed:
        raise ConfigError(
            "stdout is closed, and the answer goes there; send it to a file or to /dev/null"
        )


def _occupy() -> None:
    """Put nothing where a standard stream is closed: the next file would get its number.

    What is written to the stream would then be written into that file.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115


def plain_text(error: UnicodeError) -> tuple[str, int]:
    """A letter that the stream cannot hold as a letter like it, else as its number."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    written = "".join(_LOOK_ALIKES.get(c) or ascii(c)[1:-1] for c in letters)
    return written, error.end


codecs.register_error(_ERRORS, plain_text)
