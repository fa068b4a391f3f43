"""The frame of every request: its identity, the headers of its answer, errors nobody expected.

An answer that comes before the body was read whole waits for the rest of it, which is thrown away:
most clients listen only when all is sent, and would see a broken connection instead of the reason.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.serve.api.errors import Refused, error_response
from orchestrator.serve.api.watch.trace import Trace, start
from workloads.errors import WsolError

MAX_HEADER_BYTES = 2**15
"""Bytes of all headers and the address together."""

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}
"""Headers of every answer that has none of its own of that name."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LOG = logging.getLogger(__name__)


class Frame:
    """The outermost layer.

    Args:
        max_drain, drain_s: bytes and seconds of a body that are read to be thrown away.
        begun, done: told of each request.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_drain: int,
        drain_s: float,
        begun: Callable[[], None],
        done: Callable[[Trace, Scope], None],
    ) -> None:
        self._app = app
        self._limits = (max_drain, drain_s)
        self._begun, self._done = begun, done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        trace = Trace(_request_id(headers), scope["method"], (scope.get("client") or ("",))[0])
        start(trace, scope)
        exchange = _Exchange(headers, receive, send, trace, *self._limits)
        self._begun()
        try:
            await self._answer(scope, exchange, trace)
        finally:
            self._done(trace, scope)

    async def _answer(self, scope: Scope, exchange: _Exchange, trace: Trace) -> None:
        try:
            _check_headers(scope)
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:
            if not isinstance(error, WsolError):
                _LOG.exception("request %s failed", trace.request_id)
            if exchange.started:
                raise
            await error_response(error, scope)(scope, exchange.receive, exchange.send)


class _Exchange:
    """One request as the application sees it."""

    def __init__(
        self,
        headers: Headers,
        receive: Receive,
        send: Send,
        trace: Trace,
        max_drain: int,
        drain_s: float,
    ) -> None:
        self.started = False
        self._receive, self._send, self._trace = receive, send, trace
        self._max_drain, self._drain_s = max_drain, drain_s
        length = headers.get("content-length", "0")
        self._declared = int(length[:18]) if length.isdecimal() else 0
        # Nothing is sent before we ask for it: to read would be to ask.
        self._asks_first = "expect" in headers
        self._read_whole = self._declared == 0 and "transfer-encoding" not in headers

    async def receive(self) -> Message:
        message = await self._receive()
        self._trace.bytes_in += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._read_whole = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self._trace.status = message["status"]
            await self._drain()
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            headers["X-Request-Id"] = self._trace.request_id
            if not self._read_whole:
                headers["Connection"] = "close"
        await self._send(message)

    async def _drain(self) -> None:
        slow = self._trace.code == "upload_too_slow"
        if self._asks_first or slow or self._declared > self._max_drain:
            return
        until = time.monotonic() + self._drain_s
        while not self._read_whole and self._trace.bytes_in <= self._max_drain:
            try:
                async with asyncio.timeout(until - time.monotonic()):
                    await self.receive()
            except TimeoutError:
                return


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def _check_headers(scope: Scope) -> None:
    fields: list[tuple[bytes, bytes]] = scope["headers"]
    size = sum(len(name) + len(value) for name, value in fields)
    address: Any = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogatepass")
    size += len(address) + len(scope.get("query_string", b""))
    if size > MAX_HEADER_BYTES:
        raise Refused(
            "headers_too_large",
            f"{size} bytes of headers and address, at most {MAX_HEADER_BYTES} are allowed",
            "send fewer or shorter headers",
        )
