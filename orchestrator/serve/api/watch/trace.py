"""All that is known of a request while it is answered, for the log and the metrics."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

_KEY = "wsol.trace"


@dataclass(slots=True)
class Trace:
    """One request.

    Attributes:
        request_id: the client's, or one made here.
        model, version: that answered; empty until then, and where none does.
        key_id: of the API key; None without.
        code: of the error; None of a success.
        bytes_in: of the body, as far as it was read.
        seconds: by phase: read, queue, decode, forward, boxes; added up over images.
        started: by `time.perf_counter`.
    """

    request_id: str
    method: str
    client: str
    model: str = ""
    version: str = ""
    key_id: str | None = None
    code: str | None = None
    status: int = 0
    bytes_in: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    def add(self, phase: str, seconds: float) -> None:
        """Add to the time of a phase."""
        self.seconds[phase] = self.seconds.get(phase, 0.0) + seconds

    @property
    def total_s(self) -> float:
        """Seconds since the request began."""
        return time.perf_counter() - self.started


def start(trace: Trace, scope: Any) -> None:
    """Let those who answer a request find its trace."""
    scope[_KEY] = trace


def trace_of(scope: Any) -> Trace:
    """The trace of a request, from its ASGI scope."""
    trace: Trace = scope[_KEY]
    return trace


def route_of(scope: Any) -> str:
    """The path of the route that was taken, with its parameters as names; "other" if none was."""
    return str(getattr(scope.get("route"), "path", "other"))
