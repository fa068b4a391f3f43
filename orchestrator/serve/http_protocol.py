"""HTTP as uvicorn speaks it, with what it lacks towards strangers.

Uvicorn waits for the headers of a request for as long as a client likes, keeps them however many
there are, and answers what is no HTTP in plain text.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from orchestrator.serve.api.errors import ErrorBody, Refused
from orchestrator.serve.api.guard.frame import MAX_HEADER_BYTES

HEADERS_S = 10.0
"""Seconds in which the headers of a request must be complete, from the first byte or the
connection on. Between requests a connection is kept for uvicorn's own 5."""


class StrictProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *words: Any, **named: Any) -> None:
        super().__init__(*words, **named)
        self._deadline: asyncio.TimerHandle | None = None
        self._header_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a request soon."""
        super().connection_made(transport)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._expect_nothing()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Expect its headers."""
        self._expect_headers()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin to answer; the limits from here on are the application's."""
        self._expect_nothing()
        self._header_bytes = 0
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Take what has come; if that is headers without an end, refuse them."""
        if self._deadline is not None:
            self._header_bytes += len(data)
        super().data_received(data)
        # The application refuses those that are complete, with the request's identity.
        if self._deadline is not None and self._header_bytes > 2 * MAX_HEADER_BYTES:
            line = f"headers and address have over {2 * MAX_HEADER_BYTES} bytes"
            self._refuse(Refused("headers_too_large", line, "send fewer or shorter headers"))

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, in the shape of all errors."""
        self._refuse(Refused("malformed", f"this is no HTTP: {msg}", "see /docs"))

    def _expect_headers(self) -> None:
        self._expect_nothing()
        self._deadline = self.loop.call_later(HEADERS_S, self._give_up)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._expect_headers()  # a request that was sent too early waits for the answer before
            return
        line = f"the headers were not complete after {HEADERS_S:g} s"
        self._refuse(Refused("upload_too_slow", line, "send it again"))

    def _refuse(self, error: Refused) -> None:
        if self.transport.is_closing():
            return
        body = ErrorBody(error=error.problem()).model_dump_json().encode()
        headers = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "connection": "close",
            "x-content-type-options": "nosniff",
        }
        lines = [f"{name}: {value}\r\n".encode() for name, value in headers.items()]
        self.transport.write(b"".join([STATUS_LINE[error.http_status], *lines, b"\r\n", body]))
        self.transport.close()
