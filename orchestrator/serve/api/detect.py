"""The routes that find objects: one image, or several."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

from fastapi import APIRouter, Request, Response

from orchestrator.serve.api.answers import found_of, unasked
from orchestrator.serve.api.describe.bodies import BATCH_BODY, ERRORS, OPTIONS, SINGLE_BODY
from orchestrator.serve.api.errors import Refused, refused
from orchestrator.serve.api.guard.work import Job
from orchestrator.serve.api.options import DetectOptions, parse_options
from orchestrator.serve.api.service import Service
from orchestrator.serve.api.shapes import BatchAnswer, BatchFailed, BatchFound, DetectAnswer
from orchestrator.serve.api.uploads import (
    FORM,
    JSON,
    RAW,
    Upload,
    check_type,
    parse_batch,
    parse_single,
)
from workloads.errors import WsolError

_OF_ALL = ("unknown_model", "invalid")  # errors of the question, not of one image
_LOG = logging.getLogger(__name__)


def detect_routes(service: Service) -> APIRouter:
    """`/v1/detect` and `/v1/detect:batch`."""
    router = APIRouter(tags=["detect"])

    @router.post(
        "/v1/detect",
        response_model=DetectAnswer,
        responses=ERRORS,
        openapi_extra={"parameters": OPTIONS, "requestBody": SINGLE_BODY},
    )
    async def detect(request: Request) -> Response:
        """Find objects in one image."""
        parse_options(request.query_params.multi_items())  # before a long upload
        check_type(request, RAW, "image/*", FORM, JSON)
        with service.job(request) as job:
            body = await parse_single(request, await job.read(request))
            options = parse_options([*request.query_params.multi_items(), *body.options])
            answer = await job.within(
                service.answer(job, options.model, body.images[0], options.ask)
            )
            found = found_of(answer, service.classes_of(answer.model), options)
            seconds = {**job.trace.seconds, "total": job.trace.total_s}
            content = DetectAnswer(
                **{**dict(found), "timings_ms": _milliseconds(seconds)},
                request_id=job.trace.request_id,
            )
            text = content.model_dump_json(by_alias=True, exclude=unasked(options))
            return Response(text, media_type=JSON)

    @router.post(
        "/v1/detect:batch",
        response_model=BatchAnswer,
        responses=ERRORS,
        openapi_extra={"parameters": OPTIONS, "requestBody": BATCH_BODY},
    )
    async def detect_batch(request: Request) -> Response:
        """Find objects in several images; one that cannot be used does not fail the others."""
        parse_options(request.query_params.multi_items())
        check_type(request, FORM, JSON)
        with service.job(request) as job:
            body = await parse_batch(request, await job.read(request), service.max_images)
            options = parse_options([*request.query_params.multi_items(), *body.options])
            if options.model is not None:
                service.find(options.model)
            results = await _detect_each(service, job, body.images, options)
            content = BatchAnswer(
                request_id=job.trace.request_id,
                results=results,
                failed=sum(isinstance(one, BatchFailed) for one in results),
            )
            hidden = {**unasked(options), "error": {"request_id"}}
            text = content.model_dump_json(by_alias=True, exclude={"results": {"__all__": hidden}})
            return Response(text, media_type=JSON)

    return router


async def _detect_each(
    service: Service, job: Job, images: list[Upload], options: DetectOptions
) -> list[BatchFound | BatchFailed]:
    """An answer for each image, in order; those that take too long are given up."""

    async def one(image: Upload) -> BatchFound | BatchFailed:
        began = time.perf_counter()
        answer = await service.answer(job, options.model, image, options.ask)
        found = found_of(answer, service.classes_of(answer.model), options)
        seconds = {**answer.seconds, "total": time.perf_counter() - began}
        return BatchFound(**{**dict(found), "timings_ms": _milliseconds(seconds)}, name=image.name)

    tasks = [asyncio.create_task(one(image)) for image in images]
    try:
        await asyncio.wait(tasks, timeout=job.limit_s)
    finally:
        late = [task for task in tasks if task.cancel()]
        await asyncio.gather(*late, return_exceptions=True)
    return [_outcome(task, image, job) for task, image in zip(tasks, images, strict=True)]


def _outcome(
    task: asyncio.Task[BatchFound | BatchFailed], image: Upload, job: Job
) -> BatchFound | BatchFailed:
    error: BaseException | None = job.late() if task.cancelled() else task.exception()
    if error is None:
        return task.result()
    if not isinstance(error, Exception):
        raise error
    if not isinstance(error, WsolError):
        _LOG.error("request %s failed", job.trace.request_id, exc_info=error)
    known: Refused = refused(error)
    if known.code in _OF_ALL:
        raise known
    return BatchFailed(name=image.name, error=known.problem())


def _milliseconds(seconds: Mapping[str, float]) -> dict[str, float]:
    return {phase: round(value * 1000, 3) for phase, value in seconds.items()}
