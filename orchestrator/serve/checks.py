"""Checks of a running endpoint, from outside, for `wsol doctor --url`."""

from __future__ import annotations

import io
import ipaddress
import statistics
import time
from collections.abc import Iterator
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from PIL import Image, ImageDraw

from orchestrator.client import Client, EndpointError

ROUNDS = 5
"""Detections that the latency is the median of."""

_TIMEOUT_S = 30.0


class Finding(NamedTuple):
    """One finding; `fix` says what to do if the status is not ok."""

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    fix: str | None = None


def check_endpoint(url: str, key: str | None) -> Iterator[Finding]:
    """All checks in a fixed order; without a process that answers the first is the only one.

    Raises:
        ValueError: `url` is no address.
    """
    client = Client(url, key, _TIMEOUT_S)
    alive = _answers(client, "healthz", "/healthz")
    yield alive
    if alive.status == "fail":
        return
    yield _answers(client, "readyz", "/readyz")
    yield _keys(url)
    yield _models(client)
    detection = _detection(client)
    yield detection
    if detection.status == "ok":
        yield _latency(client)


def _answers(client: Client, name: str, path: str) -> Finding:
    try:
        client.get(path)
    except EndpointError as error:
        return Finding(name, "fail", error.message, error.hint)
    return Finding(name, "ok", f"{client.url}{path} answers")


def _keys(url: str) -> Finding:
    try:
        Client(url, None, _TIMEOUT_S).models()
    except EndpointError as error:
        if error.status == 401:
            return Finding("keys", "ok", "asked for")
        return Finding("keys", "fail", error.message, error.hint)
    if _is_loopback(urlsplit(url).hostname or ""):
        return Finding("keys", "ok", "none asked for, on loopback")
    fix = "set serve.keys_file (wsol keys add NAME), or put a proxy in front that asks"
    return Finding("keys", "warn", "none asked for, beyond loopback", fix)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _models(client: Client) -> Finding:
    try:
        models = client.models()
    except EndpointError as error:
        return Finding("models", "fail", error.message, error.hint)
    detail = ", ".join(
        f"{m.name}{f' (version {m.version})' if m.version else ''} {m.state}" for m in models
    )
    if any(model.state == "failed" for model in models):
        return Finding("models", "fail", detail, "the endpoint's log says why; wsol doctor there")
    return Finding("models", "ok", detail)


def _detection(client: Client) -> Finding:
    try:
        found = client.detect(picture())
    except EndpointError as error:
        return Finding("detection", "fail", error.message, error.hint)
    return Finding(
        "detection",
        "ok",
        f"{len(found.detections)} boxes in a made picture of {found.width}x{found.height}, "
        f"by {found.model.name}",
    )


def _latency(client: Client) -> Finding:
    seconds = []
    try:
        for _ in range(ROUNDS):
            began = time.perf_counter()
            found = client.detect(picture())
            seconds.append(time.perf_counter() - began)
    except EndpointError as error:
        return Finding("latency", "fail", error.message, error.hint)
    inside = found.timings_ms["total"]
    middle = statistics.median(seconds) * 1000
    return Finding("latency", "ok", f"{middle:.0f} ms, median of {ROUNDS}; {inside:.0f} ms inside")


def picture() -> bytes:
    """A PNG file of two shapes."""
    image = Image.new("RGB", (96, 64), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((10, 10, 50, 50), fill="navy")
    draw.rectangle((60, 20, 90, 55), fill="orange")
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
