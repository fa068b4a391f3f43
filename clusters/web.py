"""Ray's web address: does it answer, with this token, and how many nodes are there."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from workloads.errors import one_line

_TIMEOUT_S = 5.0
_NODES = "/api/v0/nodes?limit=10000"  # all: Ray says 100 unless asked for more
_MOST_SAID = 300  # characters of an answer that is quoted


class WebError(Exception):
    """An address is of no use: why, and what to do.

    Attributes:
        code: the HTTP status; None if there was no answer.
    """

    def __init__(self, problem: str, code: int | None = None) -> None:
        super().__init__(problem)
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    """What an address said.

    Attributes:
        nodes: that are alive.
        resources: of all of them together.
        problem: why it is of no use, and what to do; empty if it answered.
    """

    nodes: int = 0
    resources: dict[str, float] | None = None
    problem: str = ""


def ask(address: str, token: str, timeout_s: float = _TIMEOUT_S) -> Answer:
    """What Ray at an address says about its nodes; every failure is an answer, too."""
    try:
        return nodes(address, token, timeout_s)
    except WebError as error:
        return Answer(problem=str(error))


def nodes(address: str, token: str | None, timeout_s: float = _TIMEOUT_S) -> Answer:
    """The nodes of Ray at an address.

    Raises:
        WebError: it is of no use.
    """
    said = call_json(address, _NODES, token, timeout_s=timeout_s)
    try:
        return _counted(said["data"]["result"]["result"])
    except (KeyError, TypeError, AttributeError):
        raise WebError(f"{address} is not Ray's dashboard; give that") from None


def call_json(address: str, path: str, token: str | None, **how: Any) -> Any:
    """As `call`, of an answer in JSON."""
    try:
        return json.loads(call(address, path, token, **how))
    except ValueError as error:
        raise WebError(f"{address} does not answer: {error}") from None


def call(
    address: str,
    path: str,
    token: str | None,
    *,
    method: str = "GET",
    body: bytes | None = None,
    timeout_s: float = _TIMEOUT_S,
) -> bytes:
    """The body of an answer. The token goes to this address alone, wherever it points on to.

    Args:
        address: http://HOST:PORT, or https.
        body: that is sent, JSON or a file.
        timeout_s: of each wait for the other side.

    Raises:
        WebError: nobody answers in time, the token is refused, or the request fails.
    """
    url = f"{address.rstrip('/')}{path}"
    if not url.startswith(("http://", "https://")):
        raise WebError(f"{address} does not answer: it is no web address")
    try:
        request = urllib.request.Request(url, data=body, method=method)  # noqa: S310 - see above
        if body is not None:
            request.add_header("Content-Type", "application/json")
        if token:
            request.add_unredirected_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        with error:  # an answer, too, and open
            raise WebError(_refused(address, error), error.code) from None
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise WebError(f"{address} does not answer: {one_line(str(reason))}") from None


def _counted(rows: list[dict[str, Any]]) -> Answer:
    alive = [row for row in rows if row["state"] == "ALIVE"]
    total: dict[str, float] = {}
    for row in alive:
        for kind, amount in (row.get("resources_total") or {}).items():
            if not kind.startswith("node:"):
                total[kind] = total.get(kind, 0.0) + float(amount)
    return Answer(len(alive), total)


def _refused(address: str, error: urllib.error.HTTPError) -> str:
    if error.code == 401:
        return f"{address} wants a token and was given none; put it into the cluster's token file"
    if error.code == 403:
        return (
            f"{address} refuses this token; put the cluster's own into its token file, or into "
            "$RAY_AUTH_TOKEN if that is set"
        )
    return f"{address} answers with HTTP {error.code}{_said(error)}; see the cluster's log"


def _said(error: urllib.error.HTTPError) -> str:
    """The last line of a refusal, which is what a traceback is about."""
    try:
        lines = error.read(2**16).decode(errors="replace").strip().splitlines()
    except (OSError, HTTPException):
        lines = []
    return f" ({one_line(lines[-1])[:_MOST_SAID]})" if lines else ""
