"""The application: routes within their guards. It knows no Ray, no MLflow and no network.

    POST /v1/detect, /v1/detect:batch    boxes, points, maps of images
    GET  /v1/models, /metrics            what there is, and how it does
    GET  /healthz, /readyz               200 or 503 (HEAD too)
    GET  /openapi.json, /docs            the interface, for programs and for people
    GET  /, /page/                       a page for people
    /v2                                  the same models as KServe's protocol has them
    /label-studio                        the same models as a backend of Label Studio

Every error has the shape of `errors.ErrorBody`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from orchestrator.config.settings import Serving
from orchestrator.serve.api.adapters.kserve import kserve_routes
from orchestrator.serve.api.adapters.label_studio import label_studio_routes
from orchestrator.serve.api.describe.page import add_docs
from orchestrator.serve.api.detect import detect_routes
from orchestrator.serve.api.errors import Refused, error_response
from orchestrator.serve.api.guard.frame import Frame
from orchestrator.serve.api.guard.gate import Gate
from orchestrator.serve.api.guard.keys import KeyRing
from orchestrator.serve.api.guard.rate import RateLimit
from orchestrator.serve.api.guard.work import Work
from orchestrator.serve.api.host import Host
from orchestrator.serve.api.paths import own_path
from orchestrator.serve.api.service import Service
from orchestrator.serve.api.status import status_routes
from orchestrator.serve.api.watch.access_log import AccessLog
from orchestrator.serve.api.watch.metrics import Metrics
from orchestrator.serve.api.watch.trace import Trace, route_of
from orchestrator.serve.page.page import add_page
from workloads.errors import WsolError

_DESCRIPTION = "Weakly supervised object localization: images in, boxes and points out."


def create_app(
    host: Host, serving: Serving, start: Callable[[], Awaitable[None]] | None = None
) -> FastAPI:
    """The interface of a host.

    Args:
        start: is awaited before the first request, where the server tells the application so.

    Raises:
        NotFound, ConfigError: `serve.keys_file` cannot be used.
    """
    keys = KeyRing(serving.keys_file) if serving.keys_file else None
    rate = RateLimit(serving.rate_per_s) if serving.rate_per_s else None
    work = Work(serving)
    metrics = Metrics(work, host)
    log = AccessLog(serving.access_log) if serving.access_log else None

    def done(trace: Trace, scope: Scope) -> None:
        route = route_of(scope)
        metrics.done(trace, route)
        if log:
            log.write(trace, route)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        if start is not None:
            await start()
        yield
        if log:
            log.close()

    # The usual pages of FastAPI load scripts from elsewhere; ours is `add_docs`.
    app = FastAPI(
        title="wsol",
        version=version("wsol"),
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=life,
    )
    _handle_errors(app)
    app.add_middleware(Gate, keys=keys, rate=rate)
    if serving.allowed_origins:
        app.add_middleware(
            _Cors,
            allow_origins=list(serving.allowed_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Content-Type", "Authorization", "X-API-Key", "X-Request-Id"],
            expose_headers=["X-Request-Id", "Retry-After"],
        )
    app.add_middleware(
        Frame,
        max_drain=2 * work.max_body,
        drain_s=serving.request_timeout_s,
        begun=metrics.begun,
        done=done,
    )
    service = Service(host, serving, work)
    app.include_router(status_routes(host, metrics))
    app.include_router(detect_routes(service))
    app.include_router(kserve_routes(service))
    app.include_router(label_studio_routes(service))
    add_docs(app)
    add_page(app)
    return app


class _Cors(CORSMiddleware):
    """CORS whose refusals have the shape of all errors."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers({})
        asks = scope.get("method") == "OPTIONS" and "access-control-request-method" in headers
        if asks and (answer := self.preflight_response(headers)).status_code != 200:
            line = bytes(answer.body).decode(), "ask the operator for serve.allowed_origins"
            await error_response(Refused("malformed", *line), scope)(scope, receive, send)
            return
        await super().__call__(scope, receive, send)


def _handle_errors(app: FastAPI) -> None:
    @app.exception_handler(WsolError)
    async def known(request: Request, error: WsolError) -> JSONResponse:
        return error_response(error, request.scope)

    @app.exception_handler(RequestValidationError)
    async def bad_argument(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][1:])
        line = f"{name}: {first['msg']}; given {first['input']!r}"
        return error_response(Refused("invalid", line), request.scope)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        if own_path(request.scope) == "":  # what the page asks for is relative to its folder
            return RedirectResponse(f"{request.url.path}/")
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "malformed")
        line = f"{request.method} {request.url.path}: {error.detail}"
        return error_response(Refused(code, line, headers=error.headers), request.scope)

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> JSONResponse:
        line = "the connection was closed before the body was complete"
        return error_response(Refused("disconnected", line, "send it again"), request.scope)
