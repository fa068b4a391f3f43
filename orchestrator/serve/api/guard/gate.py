"""The gate: who may ask, and how often."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.serve.api.errors import Refused, error_response
from orchestrator.serve.api.guard.keys import Key, KeyRing
from orchestrator.serve.api.guard.rate import RateLimit
from orchestrator.serve.api.paths import own_path
from orchestrator.serve.api.watch.trace import trace_of

OPEN = frozenset({"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"})
"""Paths that need no key and do not count: probes of those who run the endpoint."""

_PAGE = "/page/"


class Gate:
    """Lets a request with a good key pass, or any where there are no keys."""

    def __init__(self, app: ASGIApp, keys: KeyRing | None, rate: RateLimit | None) -> None:
        self._app, self._keys, self._rate = app, keys, rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or answer it with the reason why not."""
        if scope["type"] == "http" and not _is_open(scope):
            try:
                self._check(scope)
            except Refused as error:  # answered here, so that pages of other origins can read it
                await error_response(error, scope)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        trace = trace_of(scope)
        if self._keys:
            trace.key_id = _check_key(self._keys, Headers(scope=scope)).id
        wait = self._rate.take(trace.key_id or trace.client) if self._rate else 0
        if wait:
            raise Refused(
                "rate_limited",
                "more requests per second than serve.rate_per_s allows",
                f"ask again in {wait:.2g} s",
                retry_s=wait,
            )


def _is_open(scope: Scope) -> bool:
    # The page has no data of its own; a browser asks for it before anyone can type a key.
    path = own_path(scope)
    of_page = path in ("", "/") or path.startswith(_PAGE)
    return path in OPEN or (of_page and scope["method"] in ("GET", "HEAD"))


def _check_key(keys: KeyRing, headers: Headers) -> Key:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    found = keys.find(given) if given else None
    if found is None:
        raise Refused(
            "unauthorized",
            "the API key is not known, or was revoked" if given else "no API key was given",
            "send a key of `wsol keys add` as Authorization: Bearer KEY",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return found
