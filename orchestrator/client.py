"""A client of the endpoint: one file, which needs nothing but Python, so it may be copied.

client = Client("http://127.0.0.1:8000", key="wsol_...")
for box in client.detect(Path("photo.jpg"), min_score=0.4).detections:
    print(box.class_name, box.score, box.box)
"""

from __future__ import annotations

import base64
import http.client
import json
import struct
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, Unpack
from urllib.parse import urlencode, urlsplit

RETRIES = 4
"""Repeats of a request that was not answered for a reason that passes by itself."""

_AGAIN = (429, 503)
_FIRST_WAIT_S = 0.25
_STEPS = 65535

Image = bytes | Path
Box = tuple[float, float, float, float]
Point = tuple[float, float]


class Options(TypedDict, total=False):
    """Options of a question; what is left out is decided by the endpoint.

    Attributes:
        model: a name of `Client.models`.
        min_score: class score from which a class counts as present.
        cutoff: map value from which a pixel is foreground, in the model's unit.
        classes: names of those to keep.
        max_detections: so many of the best boxes.
        maps, overlay: whether the answer has maps, or a picture of boxes and heat.
    """

    model: str
    min_score: float
    cutoff: float
    classes: Sequence[str]
    max_detections: int
    maps: bool
    overlay: bool


class EndpointError(Exception):
    """A request that failed.

    Attributes:
        code: for programs; "unreachable" if nothing answered.
        message, hint: one line each: what is wrong, and what to do.
        status: HTTP's; None if nothing answered, or for one image of several.
        request_id: to find the request in the endpoint's log.
    """

    def __init__(
        self,
        code: str,
        message: str,
        hint: str,
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(f"{message}; {hint}")
        self.code, self.message, self.hint = code, message, hint
        self.status, self.request_id = status, request_id


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the endpoint.

    Attributes:
        version: in the registry; None for a model that is a folder.
        digest: SHA-256 of its content.
        classes, state, default: of an entry of `Client.models` alone.
    """

    name: str
    version: str | None
    digest: str
    method: str
    backbone: str
    classes: tuple[str, ...] = ()
    state: str | None = None
    default: bool | None = None


@dataclass(frozen=True, slots=True)
class Detection:
    """One box with its class.

    Attributes:
        box: x0, y0, x1, y1 in pixels of the upright image, half-open.
        point: x, y of the hottest pixel of its class.
    """

    label: int
    class_name: str
    score: float
    class_score: float
    box: Box
    point: Point


@dataclass(frozen=True, slots=True)
class Present:
    """A class that is in the image, whether it got a box or not."""

    label: int
    class_name: str
    score: float
    point: Point


@dataclass(frozen=True, slots=True)
class Scale:
    """One map.

    Attributes:
        rows: values of each row, to 1/65535 of the map's range.
    """

    height: int
    width: int
    rows: list[list[float]]


@dataclass(frozen=True, slots=True)
class ClassMaps:
    """The maps of a class, the main scale first; also of a class that is not present."""

    label: int
    class_name: str
    score: float
    scales: list[Scale]


@dataclass(frozen=True, slots=True)
class Result:
    """All that was found in one image, best box first.

    Attributes:
        width, height: of the upright image, in pixels.
        orientation: EXIF's, 1 to 8, which was applied.
        maps, cutoffs, overlay: only if asked for; the overlay is a PNG file.
        timings_ms: milliseconds by phase, and total.
    """

    model: Model
    width: int
    height: int
    orientation: int
    detections: list[Detection]
    classes: list[Present]
    timings_ms: dict[str, float]
    request_id: str | None = None
    maps: list[ClassMaps] = field(default_factory=list)
    cutoffs: dict[str, Any] = field(default_factory=dict)
    overlay: bytes | None = None


class Client:
    """Asks one endpoint.

    Args:
        url: of the endpoint, without a path of a route.
        key: an API key, if it wants one.
        timeout: seconds of one call, with its repeats.
    """

    def __init__(self, url: str, key: str | None = None, timeout: float = 60.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"'{url}' is no address; write http://HOST:PORT")
        self.url = url.rstrip("/")
        self._key, self._timeout = key, timeout
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        # A redirect would carry the key elsewhere; this machine is not asked through a proxy.
        handlers: list[Any] = [_NoRedirect, *([urllib.request.ProxyHandler({})] if local else [])]
        self._opener = urllib.request.build_opener(*handlers)

    def detect(self, image: Image, **options: Unpack[Options]) -> Result:
        """The objects in one image file.

        Raises:
            EndpointError: it was refused, or nothing answered in time.
            OSError: the file cannot be read.
        """
        data, pairs = _bytes_of(image), _written(options)
        if any("," in name for name in options.get("classes", ())):  # only JSON keeps them whole
            body = {"image": base64.b64encode(data).decode(), **pairs}
            answer = self._json("/v1/detect", json.dumps(body).encode(), "application/json")
        else:
            query = {k: ",".join(v) if isinstance(v, list) else v for k, v in pairs.items()}
            path = f"/v1/detect?{urlencode(query)}" if query else "/v1/detect"
            answer = self._json(path, data, "application/octet-stream")
        return _result(answer)

    def detect_batch(
        self, images: Sequence[Image], **options: Unpack[Options]
    ) -> list[Result | EndpointError]:
        """The objects in several image files, in their order; an error for each that failed.

        Raises:
            EndpointError: the request as a whole was refused, or nothing answered in time.
            OSError: a file cannot be read.
        """
        pairs = _written(options)
        if any("," in name for name in options.get("classes", ())):
            texts = [base64.b64encode(_bytes_of(image)).decode() for image in images]
            body, kind = json.dumps({"images": texts, **pairs}).encode(), "application/json"
        else:
            body, kind = _form(images, pairs)
        answer = self._json("/v1/detect:batch", body, kind)
        return [
            EndpointError(**one["error"], request_id=answer["request_id"])
            if "error" in one
            else _result({**one, "request_id": answer["request_id"]})
            for one in answer["results"]
        ]

    def models(self) -> list[Model]:
        """The models of the endpoint, the default one first.

        Raises:
            EndpointError: as `detect`.
        """
        names = Model.__dataclass_fields__
        return [
            Model(**{**{k: v for k, v in one.items() if k in names}, "classes": (*one["classes"],)})
            for one in self._json("/v1/models")["models"]
        ]

    def get(self, path: str) -> bytes:
        """The body of a plain GET, such as of /readyz; never repeated.

        Raises:
            EndpointError: any status but 200.
        """
        return self._once(path, None, "", time.monotonic() + self._timeout)

    def _json(self, path: str, body: bytes | None = None, kind: str = "") -> Any:
        until, wait = time.monotonic() + self._timeout, _FIRST_WAIT_S
        for left in range(RETRIES, -1, -1):
            try:
                return json.loads(self._once(path, body, kind, until))
            except _Passing as error:
                pause = wait if error.wait_s is None else error.wait_s
                if not left or time.monotonic() + pause > until:
                    raise error.error from None
                time.sleep(pause)
                wait *= 2
        raise AssertionError("the last attempt answers or raises")

    def _once(self, path: str, body: bytes | None, kind: str, until: float) -> bytes:
        headers = {"Content-Type": kind} if kind else {}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(self.url + path, body, headers)  # noqa: S310 - http alone
        seconds = max(0.001, until - time.monotonic())
        try:
            with self._opener.open(request, timeout=seconds) as answer:
                data: bytes = answer.read()
                return data
        except urllib.error.HTTPError as error:
            with error:
                raise _refused(error) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            failed = EndpointError(
                "unreachable",
                f"{self.url}: {str(reason) or type(reason).__name__}",
                "look whether the endpoint runs, and at its address",
            )
            if isinstance(reason, ConnectionError):  # also a server that left without a word
                raise _Passing(failed) from None
            raise failed from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Makes an error of a redirect."""

    def redirect_request(self, *_: Any) -> None:
        return None


class _Passing(EndpointError):
    """An error that passes by itself."""

    def __init__(self, error: EndpointError, wait_s: float | None = None) -> None:
        super().__init__(error.code, error.message, error.hint, error.status, error.request_id)
        self.error, self.wait_s = error, wait_s


def _refused(answer: urllib.error.HTTPError) -> EndpointError:
    request_id = answer.headers.get("X-Request-Id")
    try:
        found = json.loads(answer.read())["error"]
        said = found["code"], found["message"], found["hint"]
    except (ValueError, KeyError, TypeError, OSError):  # a proxy between us answers in its own way
        said = "http", f"status {answer.code} {answer.reason}", "look at what stands between"
    error = EndpointError(*said, status=answer.code, request_id=request_id)
    if answer.code not in _AGAIN:
        return error
    wait = answer.headers.get("Retry-After", "")
    return _Passing(error, float(wait) if wait.isdecimal() else None)


def _bytes_of(image: Image) -> bytes:
    return image if isinstance(image, bytes) else image.read_bytes()


def _written(options: Options) -> dict[str, Any]:
    """Options as the endpoint names them."""
    plain: dict[str, Any] = {**options}
    parts = ["boxes", "points"]
    for flag, part in (("maps", "map"), ("overlay", "overlay")):
        parts += [part] if plain.pop(flag, False) else []
    plain["return"] = parts
    if "classes" in plain:
        plain["classes"] = list(plain["classes"])
    return {name: value for name, value in plain.items() if value not in (None, [])}


def _form(images: Sequence[Image], options: Mapping[str, Any]) -> tuple[bytes, str]:
    """A multipart body of files and options, and its content type."""
    boundary = uuid.uuid4().hex
    parts = []
    for name, value in options.items():
        text = ",".join(value) if isinstance(value, list) else str(value)
        parts.append((f'name="{name}"', text.encode()))
    for i, image in enumerate(images):
        parts.append((f'name="files"; filename="{i}"', _bytes_of(image)))
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + data + b"\r\n"
        for head, data in parts
    )
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _result(answer: Mapping[str, Any]) -> Result:
    maps, overlay = answer["maps"], answer["overlay"]
    return Result(
        model=Model(**answer["model"]),
        width=answer["width"],
        height=answer["height"],
        orientation=answer["orientation"],
        detections=[
            Detection(
                one["label"],
                one["class"],
                one["score"],
                one["class_score"],
                tuple(one["box"]),
                tuple(one["point"]),
            )
            for one in answer["detections"]
        ],
        classes=[
            Present(one["label"], one["class"], one["score"], tuple(one["point"]))
            for one in answer["classes"]
        ],
        timings_ms=answer["timings_ms"],
        request_id=answer["request_id"],
        maps=[_class_maps(one) for one in maps["classes"]] if maps else [],
        cutoffs=maps["cutoffs"] if maps else {},
        overlay=base64.b64decode(overlay.partition(",")[2]) if overlay else None,
    )


def _class_maps(one: Mapping[str, Any]) -> ClassMaps:
    scales = [_scale(scale) for scale in one["scales"]]
    return ClassMaps(one["label"], one["class"], one["score"], scales)


def _scale(scale: Mapping[str, Any]) -> Scale:
    height, width = scale["height"], scale["width"]
    steps = struct.unpack(f"<{height * width}H", base64.b64decode(scale["values"]))
    unit = (scale["high"] - scale["low"]) / _STEPS
    values = [scale["low"] + step * unit for step in steps]
    return Scale(height, width, [values[y * width : (y + 1) * width] for y in range(height)])
