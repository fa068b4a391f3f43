"""The HTTP interface of a served model: one image in, JSON boxes out. It knows no Ray.

    POST /v1/detect     image bytes as the body, or one file of a form; ?min_score=0.5
    GET  /healthz       200 while the process lives (HEAD too)
    GET  /readyz        200 after a real forward pass, else 503 (HEAD too)
    GET  /openapi.json  the interface, typed

Every error is `{"error": "one line"}` with the status of its kind in `workloads.errors`. Ray
itself answers two before a request comes here, in one line of plain text: 503 if too many
requests wait (`serve.max_queue`) and 408 after `serve.request_timeout_s`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from importlib.metadata import version
from typing import Annotated, Any, Protocol

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect

from workloads.detections import Detections
from workloads.errors import (
    InputRejected,
    NotAnImage,
    Overloaded,
    TooLarge,
    WsolError,
    unknown_name,
)

FORM = "multipart/form-data"
RAW = "application/octet-stream"


class ModelInfo(BaseModel):
    """The model that answered."""

    name: str = Field(description="as it was given to `wsol serve`; of a folder, its own name")
    digest: str = Field(description="SHA-256 of the model's content")
    method: str
    backbone: str


class Detection(BaseModel):
    """One box with its class."""

    label: int = Field(description="class index, from 0")
    class_name: str = Field(serialization_alias="class", description="class name")
    score: float = Field(description="higher is better")
    box: tuple[float, float, float, float] = Field(
        description="x0, y0, x1, y1 in pixels of the upright image, half-open"
    )


class DetectResponse(BaseModel):
    """Detections in one image, best score first."""

    model: ModelInfo
    width: int = Field(description="of the upright image, in pixels")
    height: int = Field(description="of the upright image, in pixels")
    detections: list[Detection]


class Status(BaseModel):
    """State of the endpoint."""

    status: str


class Error(BaseModel):
    """An error in one line."""

    error: str


class Service(Protocol):
    """A loaded model, as the interface needs it.

    Attributes:
        info, classes: of the model.
        max_body_bytes: of one request.
        ready: whether a forward pass has succeeded.
    """

    info: ModelInfo
    classes: tuple[str, ...]
    max_body_bytes: int
    ready: bool

    async def detect(self, data: bytes) -> Detections:
        """Boxes of one image file.

        Raises:
            InputRejected: it cannot be used.
        """


MinScore = Annotated[
    float | None,
    Query(ge=0, allow_inf_nan=False, description="leave out detections below this score"),
]

_BODY = {
    "required": True,
    "content": {
        RAW: {"schema": {"type": "string", "format": "binary"}},
        "image/*": {"schema": {"type": "string", "format": "binary"}},
        FORM: {
            "schema": {
                "type": "object",
                "properties": {"file": {"type": "string", "format": "binary"}},
                "required": ["file"],
            }
        },
    },
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    413: {"model": Error, "description": "the body or the image is over a limit"},
    415: {"model": Error, "description": "not an image of an allowed format"},
    422: {"model": Error, "description": "an image or argument that cannot be used"},
    503: {"model": Error, "description": "too much work, or not ready yet"},
}


_PARAMETERS = ("min_score",)


def create_app(service: Service, allowed_origins: Sequence[str] = ()) -> FastAPI:
    """The interface of one service.

    Args:
        allowed_origins: of pages whose scripts may ask, as browsers name them; "*" for all.
    """
    # The interactive pages load scripts from elsewhere; the description itself is enough.
    app = FastAPI(title="wsol", version=version("wsol"), docs_url=None, redoc_url=None)
    _handle_errors(app)
    if allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(allowed_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Content-Type"],
        )

    @app.post("/v1/detect", responses=_ERRORS, openapi_extra={"requestBody": _BODY})
    async def detect(request: Request, min_score: MinScore = None) -> DetectResponse:
        """Find objects in one image."""
        _refuse_unknown(request)
        data = await _image_bytes(request, service.max_body_bytes)
        return _response(service, await service.detect(data), min_score)

    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz")
    async def healthz() -> Status:
        """Whether the process lives."""
        return Status(status="ok")

    @app.head("/readyz", include_in_schema=False)
    @app.get("/readyz", responses={503: _ERRORS[503]})
    async def readyz() -> Status:
        """Whether the model can answer."""
        if not service.ready:
            raise Overloaded("the model is not ready yet; ask again in a second")
        return Status(status="ready")

    return app


def _response(service: Service, found: Detections, min_score: float | None) -> DetectResponse:
    # float32 to float is exact, and JSON keeps every digit of a float: as in the exports.
    rows = zip(found.labels.tolist(), found.scores.tolist(), found.boxes_xyxy.tolist(), strict=True)
    return DetectResponse(
        model=service.info,
        width=found.width,
        height=found.height,
        detections=[
            Detection(label=label, class_name=service.classes[label], score=score, box=tuple(box))
            for label, score, box in rows
            if min_score is None or score >= min_score
        ],
    )


def _refuse_unknown(request: Request) -> None:
    """A misspelt parameter would be a request without it."""
    for name in request.query_params:
        if name not in _PARAMETERS:
            raise InputRejected(unknown_name("query parameter", name, _PARAMETERS))


async def _image_bytes(request: Request, max_bytes: int) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (RAW, FORM) and not kind.startswith("image/"):
        raise NotAnImage(
            f"Content-Type '{kind}' is not allowed (allowed: image/*, {RAW}, {FORM}); "
            f"send the image's bytes with Content-Type: {RAW}"
        )
    body = await _capped_body(request, max_bytes)
    return await _only_file(request, body) if kind == FORM else body


async def _capped_body(request: Request, max_bytes: int) -> bytes:
    """The body, never holding more than the limit: the declared length may be missing or a lie.

    A body of up to twice the limit is read to its end before it is refused: most clients listen
    only when all is sent, and would see a broken connection instead of the reason.
    """
    too_large = TooLarge(
        f"the body is over {max_bytes} bytes, the limit of serve.max_request_mb; "
        "send a smaller image"
    )
    declared = request.headers.get("content-length", "")
    asks_first = "expect" in request.headers
    allowed = max_bytes if asks_first else 2 * max_bytes
    if declared.isdecimal() and int(declared[:18]) > allowed:
        raise too_large
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= max_bytes:
            body += chunk
        elif size > allowed:
            break
    if size > max_bytes:
        raise too_large
    return bytes(body)


async def _only_file(request: Request, body: bytes) -> bytes:
    parser = MultiPartParser(request.headers, _once(body), max_files=1, max_fields=0)
    parser.spool_max_size = len(body) + 1  # in memory, where it is already
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise InputRejected(
            f"{FORM}: {error.message.rstrip('.')}; send exactly one file and no other field "
            "(min_score goes into the query)"
        ) from None
    try:
        for _, value in form.multi_items():
            if not isinstance(value, str):
                return await value.read()
    finally:
        await form.close()
    raise InputRejected(f"{FORM}: no file in it; send exactly one, as `curl -F file=@image.jpg`")


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body


def _handle_errors(app: FastAPI) -> None:
    @app.exception_handler(WsolError)
    async def known(_: Request, error: WsolError) -> JSONResponse:
        return _error(error.http_status, str(error))

    @app.exception_handler(RequestValidationError)
    async def bad_argument(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][1:])
        return _error(422, f"{name}: {first['msg']}; given {first['input']!r}")

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        line = f"{request.method} {request.url.path}: {error.detail}; see /openapi.json"
        return _error(error.status_code, line, error.headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, error: ClientDisconnect) -> JSONResponse:
        return _error(400, "the connection was closed before the body was complete")

    @app.exception_handler(Exception)
    async def unknown(_: Request, error: Exception) -> JSONResponse:
        return _error(500, f"internal error ({type(error).__name__}); the server's log says more")


def _error(status: int, line: str, headers: Any = None) -> JSONResponse:
    return JSONResponse(Error(error=line).model_dump(), status, headers=headers)
