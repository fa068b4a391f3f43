"""A machine learning backend of Label Studio: predictions for its tasks.

A region is named as its labelling interface names it, in percent of the upright image. Images come
as data: URIs, or from addresses whose origin is in `serve.fetch_from`; uploaded files have paths
of Label Studio itself, whose address `setup` told us.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring
from fastapi import APIRouter, Request

from orchestrator.serve.api.describe.bodies import ERRORS, errors, json_body
from orchestrator.serve.api.errors import Refused, refused
from orchestrator.serve.api.guard.fetch import origin_of
from orchestrator.serve.api.guard.work import Job
from orchestrator.serve.api.host import Answer, Ask, ModelInfo
from orchestrator.serve.api.service import Service
from orchestrator.serve.api.uploads import (
    JSON,
    Upload,
    check_type,
    decode_base64,
    parse_json,
    too_many,
)
from workloads.errors import WsolError
from workloads.formats.label_studio import regions_of

_EXAMPLE_TASK = {"id": 1, "data": {"image": "data:image/png;base64,..."}}
_EXAMPLE = {"tasks": [_EXAMPLE_TASK], "label_config": "<View>...</View>"}


@dataclass(frozen=True)
class Control:
    """The part of a labelling interface that boxes go to.

    Attributes:
        from_name, to_name: of the control and of its image.
        field: of a task's data that holds the image.
        labels: that boxes may have; any if empty.
    """

    from_name: str = "label"
    to_name: str = "image"
    field: str = "image"
    labels: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Setup:
    """The last that Label Studio told this process of itself."""

    hostname: str = ""
    token: str = ""


def label_studio_routes(service: Service) -> APIRouter:
    """Everything under `/label-studio`."""
    router = APIRouter(prefix="/label-studio", tags=["label studio"])
    known = _Setup()

    @router.get("/health", responses=errors(401, 429), operation_id="label_studio_health")
    @router.get("/", include_in_schema=False)
    @router.get("", include_in_schema=False)
    async def health() -> dict[str, str]:
        """Whether the backend is up."""
        return {"status": "UP", "model_class": "wsol"}

    @router.get("/versions", responses=errors(401, 429), operation_id="label_studio_versions")
    async def versions() -> dict[str, list[str]]:
        """The model versions that predict."""
        return {"versions": [_version(model.info) for model in service.host.models()]}

    @router.post(
        "/setup",
        responses=ERRORS,
        operation_id="label_studio_setup",
        openapi_extra={"requestBody": json_body({"hostname": "http://localhost:8080"})},
    )
    async def setup(request: Request) -> dict[str, str]:
        """Learn where Label Studio is, and check its labelling interface."""
        with service.job(request) as job:
            given = await _json_of(request, job)
        if given.get("schema"):
            control_of(given["schema"])
        known.hostname = str(given.get("hostname") or "")
        known.token = str(given.get("access_token") or "")
        return {"model_version": _version(service.host.models()[0].info)}

    @router.post(
        "/predict",
        responses=ERRORS,
        operation_id="label_studio_predict",
        openapi_extra={"requestBody": json_body(_EXAMPLE)},
    )
    async def predict(request: Request) -> dict[str, Any]:
        """Boxes for tasks; a task whose image cannot be used gets none, and the reason."""
        with service.job(request) as job:
            given = await _json_of(request, job)
            tasks = given.get("tasks")
            if not isinstance(tasks, list) or not all(isinstance(one, dict) for one in tasks):
                raise Refused("malformed", "tasks: no list of objects", "send {'tasks': [...]}")
            if len(tasks) > service.max_images:
                raise too_many(service.max_images)
            control = control_of(given["label_config"]) if given.get("label_config") else Control()
            one = _Predictor(service, job, control, known).predict
            return {"results": await job.each([one(task) for task in tasks])}

    @router.post(
        "/webhook",
        responses=ERRORS,
        operation_id="label_studio_webhook",
        openapi_extra={"requestBody": json_body({"action": "ANNOTATION_CREATED"})},
    )
    async def webhook(request: Request) -> dict[str, str]:
        """Hear of an event; models here do not learn from single annotations."""
        with service.job(request) as job:
            await _json_of(request, job)
        return {"status": "ok"}

    return router


class _Predictor:
    """Predictions for the tasks of one request."""

    def __init__(self, service: Service, job: Job, control: Control, known: _Setup) -> None:
        self._service, self._job, self._control, self._known = service, job, control, known

    async def predict(self, task: dict[str, Any]) -> dict[str, Any]:
        try:
            image = Upload("0", await self._image(task))
            answer = await self._service.answer(self._job, None, image, Ask())
        except WsolError as error:
            known = refused(error)
            problem = known.problem().model_dump(exclude={"request_id"})
            version = _version(self._service.host.models()[0].info)
            return {"result": [], "score": 0.0, "model_version": version, "error": problem}
        classes = self._service.classes_of(answer.model)
        regions = _regions(answer, classes, self._control)
        score = max((region["score"] for region in regions), default=0.0)
        return {"result": regions, "score": score, "model_version": _version(answer.model)}

    async def _image(self, task: dict[str, Any]) -> bytes:
        data, field = task.get("data"), self._control.field
        address = data.get(field) if isinstance(data, dict) else None
        if not isinstance(address, str):
            raise Refused("malformed", f"the task has no text in data.{field}", "see label_config")
        if address.startswith("data:"):
            return decode_base64(address, f"data.{field}")
        home, headers = self._known.hostname, {}
        if address.startswith("/") and not address.startswith("//"):
            address = urljoin(home, address)
        if self._known.token and origin_of(address) == origin_of(home):
            headers = {"Authorization": f"Token {self._known.token}"}
        fetched = await self._service.fetcher.fetch(address, self._job.max_bytes, headers)
        self._job.hold(len(fetched))
        return fetched


async def _json_of(request: Request, job: Job) -> dict[str, Any]:
    check_type(request, JSON)
    return parse_json(await job.read(request))


def _version(model: ModelInfo) -> str:
    return f"{model.name}/{model.version}" if model.version else f"{model.name}@{model.digest[:12]}"


def control_of(config: Any) -> Control:
    """The first control for boxes in a labelling interface.

    Raises:
        Refused: it is no XML, or has none.
    """
    if not isinstance(config, str):
        raise Refused("malformed", "label_config: not text", "send the labelling interface")
    try:
        root: Element = fromstring(config)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise Refused("malformed", f"label_config: no XML: {error}", "see Label Studio") from None
    control = next(root.iter("RectangleLabels"), None)
    if control is None:
        raise Refused("invalid", "label_config: no RectangleLabels", "add one for the boxes")
    to_name = control.get("toName", Control.to_name)
    image = next((one for one in root.iter("Image") if one.get("name") == to_name), None)
    field = Control.field if image is None else image.get("value", "").lstrip("$")
    labels = (label.get("value") for label in control.iter("Label"))
    return Control(
        from_name=control.get("name", Control.from_name),
        to_name=to_name,
        field=field,
        labels=frozenset(label for label in labels if label),
    )


def _regions(answer: Answer, classes: tuple[str, ...], control: Control) -> list[dict[str, Any]]:
    regions = regions_of(answer.detections, classes, control.from_name, control.to_name)
    return [
        {"id": str(index), **one}
        for index, one in enumerate(regions)
        if not control.labels or control.labels.issuperset(one["value"]["rectanglelabels"])
    ]
