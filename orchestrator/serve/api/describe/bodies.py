"""Request bodies, options and errors as the OpenAPI document has them."""

from __future__ import annotations

from typing import Any

from orchestrator.serve.api.errors import STATUSES, ErrorBody, Problem
from orchestrator.serve.api.options import DetectOptions
from orchestrator.serve.api.uploads import FORM, JSON, RAW

Responses = dict[int | str, dict[str, Any]]

_BINARY = {"type": "string", "format": "binary"}
_BASE64 = {
    "type": "string",
    "contentEncoding": "base64",
    "description": "the file's bytes in base64, or a data: URI",
}
_SCHEMAS: dict[str, Any] = DetectOptions.model_json_schema(by_alias=True)["properties"]
_DESCRIPTIONS = {
    400: "the body is malformed, or was cut off",
    401: "no API key, or none that is known",
    404: "no such model or path",
    405: "no such method here",
    408: "the upload took too long",
    413: "the body, the image or the number of images is over a limit",
    415: "a type of body or of image that is not allowed",
    422: "an option, or an image, that cannot be used",
    429: "too many requests of this client; see Retry-After",
    431: "the headers are too long",
    500: "a fault of the endpoint",
    503: "too much work, not ready yet, or no answer in time; see Retry-After",
}
_EXAMPLE = {
    "message": "the body is over 16777216 bytes, the limit of serve.max_request_mb",
    "hint": "send a smaller image, or fewer",
    "request_id": "5f0c3a9d1b2e4f67",
}


def errors(*statuses: int) -> Responses:
    """The errors of a route, with examples; 431 and 500 may always come."""
    return {status: _error(status) for status in (*statuses, 431, 500)}


def _error(status: int) -> dict[str, Any]:
    code = next(code for code, its in STATUSES.items() if its == status)
    example = ErrorBody(error=Problem(code=code, **_EXAMPLE)).model_dump()
    answer: dict[str, Any] = {
        "model": ErrorBody,
        "description": _DESCRIPTIONS[status],
        "content": {JSON: {"example": example}},
    }
    if status in (429, 503):
        seconds = {"schema": {"type": "integer"}, "description": "seconds to wait"}
        answer["headers"] = {"Retry-After": seconds}
    return answer


ERRORS = errors(400, 401, 404, 408, 413, 415, 422, 429, 503)
"""The errors of every route that works on images."""

OPTIONS = [
    {
        "name": name,
        "in": "query",
        "required": False,
        "schema": {key: value for key, value in schema.items() if key != "description"},
        "description": schema["description"],
        # Lists have commas between their names.
        **({"explode": False, "style": "form"} if schema.get("type") == "array" else {}),
    }
    for name, schema in _SCHEMAS.items()
]
"""The options as parameters of the query."""


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": content}


def _object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {
        "schema": {
            "type": "object",
            "properties": {**properties, **_SCHEMAS},
            "required": list(required),
            "additionalProperties": False,
        }
    }


SINGLE_BODY = _body(
    {
        "image/*": {"schema": _BINARY},
        RAW: {"schema": _BINARY},
        FORM: _object(("file",), file=_BINARY),
        JSON: _object(
            image=_BASE64,
            url={
                "type": "string",
                "description": "instead of image, if its origin is in serve.fetch_from",
            },
        ),
    }
)
BATCH_BODY = _body(
    {
        FORM: _object(("files",), files={"type": "array", "items": _BINARY, "minItems": 1}),
        JSON: _object(("images",), images={"type": "array", "items": _BASE64, "minItems": 1}),
    }
)


def json_body(example: dict[str, Any]) -> dict[str, Any]:
    """A JSON object of another program's interface, shown by an example."""
    return _body({JSON: {"schema": {"type": "object"}, "example": example}})
