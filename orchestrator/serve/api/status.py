"""The routes that say how the endpoint is: its health, its models, its metrics."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from orchestrator.serve.api.describe.bodies import errors
from orchestrator.serve.api.errors import Refused
from orchestrator.serve.api.host import Host, ModelStatus
from orchestrator.serve.api.shapes import ModelList, ModelRow, Status
from orchestrator.serve.api.watch.metrics import Metrics


def status_routes(host: Host, metrics: Metrics) -> APIRouter:
    """`/healthz`, `/readyz`, `/v1/models` and `/metrics`."""
    router = APIRouter(tags=["status"])

    @router.head("/healthz", include_in_schema=False)
    @router.get("/healthz")
    async def healthz() -> Status:
        """Whether the process lives."""
        return Status(status="ok")

    @router.head("/readyz", include_in_schema=False)
    @router.get("/readyz", responses=errors(503))
    async def readyz() -> Status:
        """Whether the default model can answer."""
        check_ready(host)
        return Status(status="ready")

    @router.get("/v1/models", responses=errors(401, 429))
    async def models() -> ModelList:
        """The models of this endpoint."""
        return ModelList(models=[_row(m, i == 0) for i, m in enumerate(host.models())])

    @router.get(
        "/metrics",
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            **errors(401, 429),
        },
    )
    async def metrics_text() -> Response:
        """Metrics for Prometheus, of the process that answers."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return router


def check_ready(host: Host) -> None:
    """Raise Refused unless the default model can answer."""
    if not host.ready:
        raise Refused("not_ready", "the model is not ready yet", "ask again in a second")


def _row(model: ModelStatus, default: bool) -> ModelRow:
    return ModelRow(
        **model.info.model_dump(),
        **model.model_dump(exclude={"info"}),
        default=default,
    )
