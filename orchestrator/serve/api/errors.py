"""The one shape of all errors: a code for programs, a message and a hint for people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.types import Scope

from orchestrator.serve.api.paths import own_path
from orchestrator.serve.api.watch.trace import trace_of
from workloads.errors import (
    ConfigError,
    InputRejected,
    NotAnImage,
    NotFound,
    Overloaded,
    TooLarge,
    WsolError,
    one_line,
)

STATUSES = {
    "malformed": 400,
    "disconnected": 400,
    "unauthorized": 401,
    "not_found": 404,
    "unknown_model": 404,
    "method_not_allowed": 405,
    "upload_too_slow": 408,
    "too_large": 413,
    "unsupported_type": 415,
    "invalid": 422,
    "unusable_image": 422,
    "cannot_fetch": 422,
    "rate_limited": 429,
    "headers_too_large": 431,
    "internal": 500,
    "not_ready": 503,
    "overloaded": 503,
    "timeout": 503,
}
"""The HTTP status of each code."""

RETRY_S = {"rate_limited": 1.0, "not_ready": 1.0, "overloaded": 1.0, "timeout": 5.0}
"""Codes of errors that pass by themselves, and the seconds to wait if nothing better is known."""

_HINTS = {
    "unknown_model": "see /v1/models",
    "overloaded": "ask again later",
    "internal": "the server's log says more",
}
_KINDS: tuple[tuple[type[WsolError], str], ...] = (
    (TooLarge, "too_large"),
    (NotAnImage, "unsupported_type"),
    (InputRejected, "unusable_image"),
    (ConfigError, "invalid"),
    (NotFound, "not_found"),
    (Overloaded, "overloaded"),
)
_UNAVAILABLE = (503, 507)  # the cluster, the storage, a full disk: no fault of the request


class Problem(BaseModel):
    """An error, and what to do about it."""

    code: str = Field(description=f"one of {', '.join(STATUSES)}")
    message: str = Field(description="one line: what was given, and what is allowed")
    hint: str = Field(description="what to do")
    request_id: str | None = Field(default=None, description="as in the header X-Request-Id")


class ErrorBody(BaseModel):
    """The body of every answer that is no success."""

    error: Problem


class KServeError(BaseModel):
    """The body of an error below `/v2`: KServe's clients take its `error` for text."""

    error: str = Field(description="one line: what was given, what is allowed, what to do")
    code: str
    hint: str
    request_id: str | None = None


class Refused(WsolError):
    """A request that is not answered.

    Attributes:
        code: a key of `STATUSES`.
        hint: what to do.
        headers: of the answer, beside the usual ones.
    """

    def __init__(
        self,
        code: str,
        message: str,
        hint: str = "see /docs",
        *,
        retry_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.hint = code, hint
        self.http_status = STATUSES[code]
        wait = RETRY_S.get(code) if retry_s is None else retry_s
        retry = {} if wait is None else {"Retry-After": str(max(1, math.ceil(wait)))}
        self.headers = {**retry, **(headers or {})}

    def problem(self, request_id: str | None = None) -> Problem:
        """The error as it is answered."""
        message, hint = one_line(str(self)), one_line(self.hint)
        return Problem(code=self.code, message=message, hint=hint, request_id=request_id)


def refused(error: Exception) -> Refused:
    """Any error as one that can be answered; of an unknown one only its kind is told."""
    if isinstance(error, Refused):
        return error
    if not isinstance(error, WsolError):
        return Refused("internal", f"internal error ({type(error).__name__})", _HINTS["internal"])
    by_kind = (code for kind, code in _KINDS if isinstance(error, kind))
    code = next(by_kind, "overloaded" if error.http_status in _UNAVAILABLE else "internal")
    # Messages of this project end with what to do.
    message, found, hint = str(error).rpartition("; ")
    default = _HINTS.get(code, "see /docs")
    return Refused(code, message, hint) if found else Refused(code, hint, default)


def error_response(error: Exception, scope: Scope) -> JSONResponse:
    """The answer to a request that failed; its trace is told the code."""
    known, trace = refused(error), trace_of(scope)
    trace.code = known.code
    problem = known.problem(trace.request_id)
    body = error_body(problem, text=own_path(scope).startswith("/v2"))
    return JSONResponse(body, known.http_status, headers=known.headers)


def error_body(problem: Problem, *, text: bool) -> dict[str, Any]:
    """An error as JSON; as `KServeError` if its `error` shall be text."""
    if not text:
        return ErrorBody(error=problem).model_dump()
    line = f"{problem.message}; {problem.hint}"
    return KServeError(error=line, **problem.model_dump(exclude={"message"})).model_dump()
