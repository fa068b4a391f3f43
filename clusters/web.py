"""Ray's web address: does it answer, with this token, and how many nodes are there."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

_TIMEOUT_S = 5.0


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
        said = _get(f"{address.rstrip('/')}/api/v0/nodes", token, timeout_s)
        return _counted(said["data"]["result"]["result"])
    except urllib.error.HTTPError as error:
        return Answer(problem=_refused(address, error.code))
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return Answer(problem=f"{address} does not answer: {reason}")
    except (KeyError, TypeError, AttributeError):
        return Answer(problem=f"{address} is not Ray's dashboard; give that")


def _get(url: str, token: str, timeout_s: float) -> Any:
    if not url.startswith(("http://", "https://")):
        raise ValueError("it is no web address")
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310 - see above
        return json.load(answer)


def _counted(rows: list[dict[str, Any]]) -> Answer:
    alive = [row for row in rows if row["state"] == "ALIVE"]
    total: dict[str, float] = {}
    for row in alive:
        for kind, amount in (row.get("resources_total") or {}).items():
            if not kind.startswith("node:"):
                total[kind] = total.get(kind, 0.0) + float(amount)
    return Answer(len(alive), total)


def _refused(address: str, code: int) -> str:
    if code == 401:
        return f"{address} wants a token and was given none; put it into the cluster's token file"
    if code == 403:
        return f"{address} refuses this token; put the cluster's own into its token file"
    return f"{address} answers with HTTP {code}; see the cluster's log"
