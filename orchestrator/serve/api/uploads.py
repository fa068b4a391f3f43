"""Images and options of a request's body: raw bytes, a form, or JSON with base64."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import orjson
from fastapi import Request
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException, MultiPartParser

from orchestrator.serve.api.errors import Refused

FORM = "multipart/form-data"
RAW = "application/octet-stream"
JSON = "application/json"

MAX_JSON_VALUES = 100_000
"""Values of a JSON body. Small values take up to forty times their bytes when they are parsed."""

_MAX_FIELDS = 64
_MAX_NAME = 255


@dataclass(frozen=True, slots=True)
class Upload:
    """One image file.

    Attributes:
        name: of the file, or its place in the list.
        address: where to fetch it; `data` is empty then.
    """

    name: str
    data: bytes
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """All that a body holds.

    Attributes:
        options: pairs of a name and a value, as they came.
    """

    images: list[Upload]
    options: list[tuple[str, Any]] = field(default_factory=list)


def content_type(request: Request) -> str:
    """The kind of a body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def check_type(request: Request, *allowed: str) -> None:
    """Refuse a kind of body before it is read; `image/*` stands for all images."""
    kind = content_type(request)
    if kind not in allowed and not (kind.startswith("image/") and "image/*" in allowed):
        raise Refused(
            "unsupported_type",
            f"Content-Type '{kind}' is not allowed (allowed: {', '.join(allowed)})",
            f"send the image's bytes with Content-Type: {RAW}"
            if RAW in allowed
            else f"send Content-Type: {allowed[0]}",
        )


async def parse_single(request: Request, body: bytes) -> Body:
    """The one image of a body of any kind, and its options.

    Raises:
        Refused: there is not exactly one image, or the body is malformed.
    """
    kind = content_type(request)
    if kind == JSON:
        return _single_of_json(parse_json(body))
    if kind == FORM:
        return await _parse_form(request.headers, body, 1, "exactly one file")
    return Body([Upload("0", body)])


async def parse_batch(request: Request, body: bytes, most: int) -> Body:
    """The images of a form or of JSON, at least one, and the options.

    Raises:
        Refused: there are none or too many, or the body is malformed.
    """
    if content_type(request) == JSON:
        found = _batch_of_json(parse_json(body))
    else:
        # One more, so that too many of them are known as such.
        found = await _parse_form(request.headers, body, most + 1, "at least one file")
    if len(found.images) > most:
        raise too_many(most)
    return found


def too_many(most: int) -> Refused:
    """The error of a batch with too many images."""
    return Refused(
        "too_large",
        f"over {most} images in one request, the limit of serve.max_images",
        "send them in several requests",
    )


def parse_json(body: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        Refused: it is none, or has too many values.
    """
    # Base64 has none of these letters, so this costs little and bounds what the parser takes.
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MAX_JSON_VALUES:
        raise Refused("too_large", f"the JSON has over {MAX_JSON_VALUES} values", "send fewer")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused("malformed", f"the body is no JSON: {error}", "send a JSON object") from None
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise Refused("malformed", f"the body is a JSON {kind}, no object", "send a JSON object")
    return value


def decode_base64(text: Any, where: str) -> bytes:
    """The bytes of base64 or of a data: URI, strictly.

    Raises:
        Refused: it is neither.
    """
    if not isinstance(text, str):
        raise Refused("malformed", f"{where}: given a {type(text).__name__}, not text", _BASE64)
    data = text
    if text.startswith("data:"):
        head, _, data = text.partition(",")
        if not head.endswith(";base64"):
            raise Refused("malformed", f"{where}: the data: URI is not in base64", _BASE64)
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused("malformed", f"{where}: no base64: {error}", _BASE64) from None


_BASE64 = "send the file's bytes in base64, with padding and without line breaks"


def _single_of_json(value: dict[str, Any]) -> Body:
    given = [name for name in ("image", "url") if name in value]
    options = [(name, one) for name, one in value.items() if name not in given]
    if len(given) != 1:
        raise Refused(
            "malformed",
            f"the JSON has {' and '.join(given) or 'no image'}, exactly one of image and url is "
            "allowed",
            'send {"image": "BASE64"}',
        )
    if given == ["image"]:
        return Body([Upload("0", decode_base64(value["image"], "image"))], options)
    if not isinstance(value["url"], str):
        raise Refused("malformed", "url: not text", "send the address as text")
    return Body([Upload("0", b"", value["url"])], options)


def _batch_of_json(value: dict[str, Any]) -> Body:
    images = value.get("images")
    if not isinstance(images, list) or not images:
        raise Refused(
            "malformed", "the JSON has no list of images", 'send {"images": ["BASE64", ...]}'
        )
    options = [(name, one) for name, one in value.items() if name != "images"]
    return Body(
        [Upload(str(i), decode_base64(one, f"images.{i}")) for i, one in enumerate(images)], options
    )


async def _parse_form(headers: Headers, body: bytes, most_files: int, wanted: str) -> Body:
    parser = MultiPartParser(headers, _once(body), max_files=most_files, max_fields=_MAX_FIELDS)
    parser.spool_max_size = len(body) + 1  # in memory, where it is already
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise _bad_form(error.message.rstrip("."), wanted) from None
    except ValueError as error:  # an odd boundary
        raise _bad_form(str(error), wanted) from None
    try:
        images, options = [], []
        for name, value in form.multi_items():
            if isinstance(value, str):
                options.append((name, value))
            else:
                images.append(Upload((value.filename or "")[:_MAX_NAME], await value.read()))
    finally:
        await form.close()
    if not images:
        raise _bad_form("no file in it", wanted)
    return Body(images, options)


def _bad_form(reason: str, wanted: str) -> Refused:
    return Refused(
        "malformed", f"{FORM}: {reason}", f"send {wanted}, as `curl -F file=@image.jpg` does"
    )


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
