"""KServe's open inference protocol, version 2, over HTTP: JSON and its extension for binary data.

Input `image`: BYTES [N], image files; in JSON each of them in base64. Outputs, over all images:
`labels` INT32 [M], `scores` FP32 [M], `boxes` FP32 [M, 4] (x0, y0, x1, y1 in pixels of the upright
image) and `image` INT32 [M], the place of the image that a box belongs to.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import orjson
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray

from orchestrator.serve.api.describe.bodies import ERRORS, errors, json_body
from orchestrator.serve.api.errors import Refused, refused
from orchestrator.serve.api.host import Answer, Ask, ModelInfo
from orchestrator.serve.api.options import parse_options
from orchestrator.serve.api.service import Service
from orchestrator.serve.api.status import check_ready
from orchestrator.serve.api.uploads import (
    JSON,
    RAW,
    Upload,
    check_type,
    decode_base64,
    parse_json,
    too_many,
)

INPUT = "image"
OUTPUTS = {
    "labels": ("INT32", (-1,)),
    "scores": ("FP32", (-1,)),
    "boxes": ("FP32", (-1, 4)),
    "image": ("INT32", (-1,)),
}
"""Type and shape of each output."""

_JSON_LENGTH = "Inference-Header-Content-Length"
_BINARY_PARAMETERS = ("binary_data", "binary_data_size", "binary_data_output")
_OPTIONS = ("min_score", "cutoff", "classes", "max_detections")
_DTYPES = {"INT32": "<i4", "FP32": "<f4"}
_EXAMPLE = {
    "inputs": [{"name": INPUT, "shape": [1], "datatype": "BYTES", "data": ["BASE64"]}],
    "parameters": {"min_score": 0.5},
}
_STATUS = errors(401, 404, 422, 429)


def kserve_routes(service: Service) -> APIRouter:
    """Everything under `/v2`."""
    router = APIRouter(prefix="/v2", tags=["kserve"])
    _add_status(router, service)

    # Names may have a slash in them, so the longer paths stand first.
    @router.post(
        "/models/{name:path}/versions/{number}/infer",
        responses=ERRORS,
        openapi_extra={"requestBody": json_body(_EXAMPLE)},
        operation_id="infer_version",
    )
    @router.post(
        "/models/{name:path}/infer",
        responses=ERRORS,
        openapi_extra={"requestBody": json_body(_EXAMPLE)},
        operation_id="infer",
    )
    async def infer(request: Request, name: str, number: str | None = None) -> Response:
        """Find objects in images."""
        model = service.find(name, number).info
        check_type(request, JSON, RAW, "")
        with service.job(request) as job:
            head, tail = _split(request, await job.read(request))
            images = _images(head, tail)
            if len(images) > service.max_images:
                raise too_many(service.max_images)
            ask = _ask(head)
            answers = await job.each([service.answer(job, name, image, ask) for image in images])
            return _answer(model, head, answers)

    @router.get(
        "/models/{name:path}/versions/{number}", responses=_STATUS, operation_id="model_version"
    )
    @router.get("/models/{name:path}", responses=_STATUS, operation_id="model")
    async def metadata(name: str, number: str | None = None) -> dict[str, Any]:
        """Inputs and outputs of a model."""
        model = service.find(name, number).info
        return {
            "name": model.name,
            "versions": [model.version] if model.version else [],
            "platform": "wsol",
            "inputs": [{"name": INPUT, "datatype": "BYTES", "shape": [-1]}],
            "outputs": [
                {"name": name, "datatype": kind, "shape": list(shape)}
                for name, (kind, shape) in OUTPUTS.items()
            ],
        }

    return router


def _add_status(router: APIRouter, service: Service) -> None:
    @router.get("", responses=errors(401, 429), operation_id="server")
    async def server() -> dict[str, Any]:
        """The server and the extensions that it speaks."""
        return {"name": "wsol", "version": version("wsol"), "extensions": ["binary_tensor_data"]}

    @router.get("/health/live", operation_id="live")
    async def live() -> dict[str, bool]:
        """Whether the process lives."""
        return {"live": True}

    @router.get("/health/ready", responses=errors(503), operation_id="ready")
    async def ready() -> dict[str, bool]:
        """Whether the default model can answer."""
        check_ready(service.host)
        return {"ready": True}

    @router.get(
        "/models/{name:path}/versions/{number}/ready",
        responses={**_STATUS, **errors(503)},
        operation_id="model_version_ready",
    )
    @router.get(
        "/models/{name:path}/ready",
        responses={**_STATUS, **errors(503)},
        operation_id="model_ready",
    )
    async def model_ready(name: str, number: str | None = None) -> dict[str, Any]:
        """Whether a model can answer; one that is loaded with the next request can."""
        model = service.find(name, number)
        if model.state not in ("ready", "idle"):
            raise Refused("not_ready", f"model '{name}' is {model.state}", "ask again in a second")
        return {"name": name, "ready": True}


def _split(request: Request, body: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON part of a body, and the binary data behind it."""
    given = request.headers.get(_JSON_LENGTH)
    if given is None:
        return parse_json(body), b""
    if not given.isdecimal() or int(given[:18]) > len(body):
        line = f"{_JSON_LENGTH} is '{given}', and the body has {len(body)} bytes"
        raise Refused("malformed", line, "give the size of the JSON part in bytes")
    size = int(given)
    return parse_json(body[:size]), body[size:]


def _images(head: dict[str, Any], tail: bytes) -> list[Upload]:
    inputs = head.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise _bad("inputs", "exactly one input is allowed")
    tensor = inputs[0]
    if tensor.get("name") != INPUT or tensor.get("datatype") != "BYTES":
        raise _bad("inputs", f"the input must be '{INPUT}' of datatype BYTES")
    size = _parameters(tensor, "inputs.0").get("binary_data_size")
    data = tensor.get("data")
    if size is not None:
        if not isinstance(size, int) or size != len(tail) or data is not None:
            raise _bad("inputs.0", f"binary_data_size is {size!r}, {len(tail)} bytes came")
        files = _elements(tail)
    elif isinstance(data, list) and not tail:
        files = [decode_base64(one, f"inputs.0.data.{i}") for i, one in enumerate(data)]
    else:
        raise _bad("inputs.0", "neither a list of data nor binary data")
    shape = tensor.get("shape")
    if shape not in ([len(files)], [len(files), 1]) or not files:
        raise _bad("inputs.0", f"shape is {str(shape)[:100]}, and {len(files)} images came")
    return [Upload(str(i), file) for i, file in enumerate(files)]


def _elements(data: bytes) -> list[bytes]:
    """Elements of a BYTES tensor: each its length as uint32, little-endian, and then its bytes."""
    found, at = [], 0
    while at < len(data):
        if at + 4 > len(data):
            raise _bad("inputs.0", "the binary data is cut off")
        (size,) = struct.unpack_from("<I", data, at)
        if at + 4 + size > len(data):
            raise _bad("inputs.0", "the binary data is cut off")
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def _ask(head: dict[str, Any]) -> Ask:
    given = _parameters(head, "parameters")
    named = [(name, value) for name, value in given.items() if name not in _BINARY_PARAMETERS]
    for name, _ in named:
        if name not in _OPTIONS:
            raise _bad("parameters", f"'{name}' is not allowed (allowed: {', '.join(_OPTIONS)})")
    return parse_options(named).ask


def _parameters(owner: dict[str, Any], where: str) -> dict[str, Any]:
    found = owner.get("parameters") or {}
    if not isinstance(found, dict):
        raise _bad(where, "parameters must be an object")
    return found


def _bad(where: str, reason: str) -> Refused:
    return refused(Refused("malformed", f"{where}: {reason}", "see /v2/models/NAME"))


def _tensors(answers: Sequence[Answer]) -> dict[str, NDArray[Any]]:
    found = [answer.detections for answer in answers]
    places = [np.full(len(one), i, np.int32) for i, one in enumerate(found)]
    return {
        "labels": np.concatenate([one.labels for one in found]).astype(np.int32),
        "scores": np.concatenate([one.scores for one in found]).astype(np.float32),
        "boxes": np.concatenate([one.boxes_xyxy for one in found]).astype(np.float32),
        "image": np.concatenate(places),
    }


def _answer(model: ModelInfo, head: dict[str, Any], answers: Sequence[Answer]) -> Response:
    tensors, outputs, tail = _tensors(answers), [], b""
    for name, binary in _wanted(head).items():
        kind = OUTPUTS[name][0]
        values = tensors[name].astype(_DTYPES[kind])
        output: dict[str, Any] = {"name": name, "datatype": kind, "shape": list(values.shape)}
        if binary:
            output["parameters"] = {"binary_data_size": values.nbytes}
            tail += values.tobytes()
        else:
            output["data"] = values.ravel().tolist()
        outputs.append(output)
    answer = {"model_name": model.name, "outputs": outputs}
    answer |= {"model_version": model.version} if model.version else {}
    answer |= {"id": head["id"]} if isinstance(head.get("id"), str) else {}
    text = orjson.dumps(answer)
    if not tail:
        return Response(text, media_type=JSON)
    return Response(text + tail, media_type=RAW, headers={_JSON_LENGTH: str(len(text))})


def _wanted(head: dict[str, Any]) -> dict[str, bool]:
    """The outputs that are asked for, and whether each shall be binary."""
    every = _parameters(head, "parameters").get("binary_data_output") is True
    asked = head.get("outputs")
    if asked is None:
        return dict.fromkeys(OUTPUTS, every)
    if not isinstance(asked, list) or not all(isinstance(one, dict) for one in asked):
        raise _bad("outputs", "must be a list of objects")
    names = [one.get("name") for one in asked]
    unknown = [str(name)[:100] for name in names if str(name) not in OUTPUTS]
    if unknown:
        raise _bad("outputs", f"'{unknown[0]}' is not allowed (allowed: {', '.join(OUTPUTS)})")
    binary = [_parameters(one, "outputs").get("binary_data", every) is True for one in asked]
    return dict(zip(names, binary, strict=True))
