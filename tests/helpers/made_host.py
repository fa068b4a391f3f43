"""A host without a network: it decodes images as the real ones do, and makes up what it sees."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np
from PIL import Image

from orchestrator.config.settings import Serving
from orchestrator.serve.api.app import create_app
from orchestrator.serve.api.host import Answer, Ask, ModelInfo, ModelStatus
from workloads.detections import Detections
from workloads.errors import ConfigError, NotFound, unknown_name
from workloads.images.decode import ImageLimits, decode_oriented
from workloads.localization.candidates import Candidates
from workloads.localization.cutoffs import Cutoffs

CLASSES = ("cat", "dög", "c'ow, brown")
MAIN = ModelInfo(name="m@champion", version="3", digest="d" * 64, method="some", backbone="any")
OTHER = ModelInfo(name="a/folder", digest="e" * 64, method="some", backbone="any")
SCORES = np.asarray([0.2, 0.7, 0.6], np.float32)


class MadeHost:
    """Two models. Each sees all classes: one box of the whole image, one of its corner.

    Attributes:
        error: raised instead of an answer.
        seconds: that an answer takes.
        asked: what was asked, in order.
    """

    def __init__(self, max_pixels: int = 10_000) -> None:
        self.limits = ImageLimits(max_pixels=max_pixels)
        self.ready, self.seconds = True, 0.0
        self.error: Exception | None = None
        self.asked: list[tuple[str | None, Ask]] = []

    def models(self) -> Sequence[ModelStatus]:
        return [
            ModelStatus(info=info, reference=info.name, classes=CLASSES, state="ready")
            for info in (MAIN, OTHER)
        ]

    async def detect(self, model: str | None, data: bytes, ask: Ask) -> Answer:
        self.asked.append((model, ask))
        if self.error is not None:
            raise self.error
        infos = {info.name: info for info in (MAIN, OTHER)}
        if model is not None and model not in infos:
            raise NotFound(unknown_name("model", model, infos))
        for name in ask.classes:
            if name not in CLASSES:
                raise ConfigError(unknown_name("class", name, CLASSES))
        began = time.perf_counter()
        image, orientation = await asyncio.to_thread(decode_oriented, data, self.limits)
        decoded = time.perf_counter() - began
        await asyncio.sleep(self.seconds)
        height, width = image.shape[:2]
        return _answer(infos[model or MAIN.name], width, height, orientation, ask, decoded)


def _answer(
    info: ModelInfo, width: int, height: int, orientation: int, ask: Ask, decoded: float
) -> Answer:
    least = 0.5 if ask.min_score is None else ask.min_score
    wanted = [CLASSES.index(name) for name in ask.classes] or range(len(CLASSES))
    kept = [k for k in wanted if SCORES[k] >= np.float32(least)]
    boxes = [(1, SCORES[1], (0, 0, width, height)), (2, SCORES[2], (0.1, 1 / 3, 0.9, 0.8))]
    boxes = [box for box in boxes if box[0] in kept][: ask.max_detections]
    found = Detections(
        np.asarray([box for _, _, box in boxes], np.float32).reshape(-1, 4),
        np.asarray([score for _, score, _ in boxes], np.float32),
        np.asarray([label for label, _, _ in boxes], np.int32),
        width,
        height,
    )
    maps = np.linspace(-1, 2, 12, dtype=np.float32).reshape(3, 4)
    every = (maps, maps * 0), (maps + 1, maps), (-maps, maps)
    return Answer(
        model=info,
        orientation=orientation,
        detections=found,
        present=_candidates(sorted(kept), found, None),
        cutoffs=Cutoffs(cutoff=0.25 if ask.cutoff is None else ask.cutoff),
        candidates=_candidates(range(len(CLASSES)), found, every) if ask.maps else None,
        overlay=picture(5, 5) if ask.overlay else None,
        seconds={"queue": 0.0, "decode": decoded, "forward": 0.001, "boxes": 0.002},
    )


def _candidates(labels: Sequence[int], found: Detections, maps: Any) -> Candidates:
    chosen = np.asarray(labels, np.int32)
    points = np.asarray([(k + 0.5, 0.25) for k in labels], np.float32).reshape(-1, 2)
    return Candidates(chosen, SCORES[chosen], points, found, maps)


class Client:
    """Calls into an application in this process."""

    def __init__(self, host: MadeHost, **serving: Any) -> None:
        serving.setdefault("max_request_mb", 50_000 / 2**20)
        self.app = create_app(host, Serving(**serving))
        self.transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=self.transport, base_url="http://t") as client:
                return await client.request(method, path, **arguments)

        return asyncio.run(send())

    def get(self, path: str, **arguments: Any) -> httpx.Response:
        return self.request("GET", path, **arguments)

    def post(self, path: str, **arguments: Any) -> httpx.Response:
        return self.request("POST", path, **arguments)

    def detect(self, content: Any, kind: str = "application/octet-stream", **params: Any) -> Any:
        headers = {"Content-Type": kind} if kind else {}
        return self.post("/v1/detect", content=content, headers=headers, params=params)


def picture(width: int = 30, height: int = 20, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(stream, kind, **options)
    return stream.getvalue()


def problem_of(response: httpx.Response, status: int, code: str | None = None) -> dict[str, str]:
    """The error of an answer, after a look at its shape."""
    assert response.status_code == status, response.text
    body = response.json()
    assert list(body) == ["error"]
    error = body["error"]
    assert list(error) == ["code", "message", "hint", "request_id"]
    assert all(value and "\n" not in value and "Traceback" not in value for value in error.values())
    assert error["request_id"] == response.headers["x-request-id"]
    assert code is None or error["code"] == code, error
    return error
