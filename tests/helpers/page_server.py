"""The endpoint's page with a model behind it, in a thread: counts requests, fails when told to."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from numpy.typing import NDArray
from samples import free_port

from orchestrator.serve.page.page import add_page
from workloads.errors import NotFound, WsolError
from workloads.images.decode import ImageLimits, decode_oriented
from workloads.localization.candidates import Candidates
from workloads.models.localizer import Localizer

_STEPS = 65_535


@dataclass
class PageServer:
    """A running endpoint.

    Attributes:
        models: by name, the default one first.
        asked: query and body of every request for detections, as they came.
        busy: so many of the next requests are refused with 503.
        key: if set, requests need it.
    """

    models: dict[str, Localizer] = field(default_factory=dict)
    url: str = ""
    asked: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    busy: int = 0
    key: str | None = None

    def info(self, name: str) -> dict[str, Any]:
        card = self.models[name].card
        return {
            "name": name, "version": None, "digest": self.models[name].digest,
            "method": card.method, "backbone": card.backbone,
        }  # fmt: skip

    def statuses(self) -> list[dict[str, Any]]:
        names = list(self.models)
        return [
            {
                **self.info(name), "reference": name, "classes": self.models[name].card.classes,
                "state": "idle" if name != names[0] else "ready", "follows": False,
                "default": name == names[0],
                "refused": None if name == names[0] else "version 3: it finds nothing",
            }
            for name in names
        ]  # fmt: skip

    def detect(self, name: str, data: bytes) -> dict[str, Any]:
        began = time.perf_counter()
        image, orientation = decode_oriented(data, ImageLimits())
        localizer = self.models[name]
        (found,) = localizer.candidates([image], floor=0.0, most=20, keep_maps=True)
        return {
            "request_id": f"made-{len(self.asked)}",
            "model": self.info(name),
            "width": image.shape[1],
            "height": image.shape[0],
            "orientation": orientation,
            **answer_of(found, localizer),
            "timings_ms": {"total": 1000 * (time.perf_counter() - began)},
        }


def answer_of(found: Candidates, localizer: Localizer) -> dict[str, Any]:
    """Detections, classes and maps of an answer, at the model's own cut-offs."""
    cutoffs, names = localizer.card.cutoffs, localizer.card.classes
    kept = found.detections_at(cutoffs.score_threshold)
    scores = dict(zip(found.labels.tolist(), found.scores.tolist(), strict=True))
    points = dict(zip(found.labels.tolist(), found.points_xy.tolist(), strict=True))
    classes = [
        {"label": k, "class": names[k], "score": scores[k], "point": points[k]} for k in scores
    ]
    maps = dict(zip(found.labels.tolist(), found.maps or (), strict=True))
    columns = (kept.labels.tolist(), kept.scores.tolist(), kept.boxes_xyxy.tolist())
    return {
        "detections": [
            {
                "label": k, "class": names[k], "score": score, "class_score": scores[k],
                "box": box, "point": points[k],
            }
            for k, score, box in zip(*columns, strict=True)
        ],
        "classes": [one for one in classes if one["score"] >= cutoffs.score_threshold],
        "maps": {
            "cutoffs": cutoffs.model_dump(mode="json"),
            "min_score": cutoffs.score_threshold,
            "classes": [
                {**one, "scales": [packed_map(scale) for scale in maps[one["label"]]]}
                for one in classes
            ],
        },
        "overlay": None,
    }  # fmt: skip


def packed_map(one: NDArray[np.float32]) -> dict[str, Any]:
    """An (h, w) map as an answer holds it."""
    low, high = float(one.min()), float(one.max())
    shares = (one.astype(np.float64) - low) / (high - low) if high > low else np.zeros(one.shape)
    values = base64.b64encode(np.rint(shares * _STEPS).astype("<u2").tobytes()).decode()
    height, width = one.shape
    return {"height": height, "width": width, "low": low, "high": high, "values": values}


def unpacked_map(packed: dict[str, Any]) -> NDArray[np.float32]:
    """Inverse of `packed_map`, as precise as an answer is."""
    whole = np.frombuffer(base64.b64decode(packed["values"]), "<u2").astype(np.float64)
    step = (packed["high"] - packed["low"]) / _STEPS
    shape = (packed["height"], packed["width"])
    return (packed["low"] + whole * step).astype(np.float32).reshape(shape)


@contextmanager
def serving(folders: dict[str, Path] | None = None) -> Iterator[PageServer]:
    """The page at an address, until the block ends.

    Args:
        folders: of models, by name; without any only the page's files are answered.
    """
    state = PageServer({name: Localizer.load(path) for name, path in (folders or {}).items()})
    port = free_port()
    state.url = f"http://127.0.0.1:{port}/"
    server = uvicorn.Server(uvicorn.Config(made_app(state), port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield state
    finally:
        server.should_exit = True
        thread.join()


def made_app(state: PageServer) -> FastAPI:
    app = FastAPI()
    add_page(app)

    @app.exception_handler(WsolError)
    def failed(_: Request, error: WsolError) -> JSONResponse:
        said, _, hint = str(error).rpartition("; ")
        return refused(error.http_status, type(error).__name__, said or hint, hint)

    @app.middleware("http")
    async def keyed(request: Request, answer: Any) -> Any:
        held = request.headers.get("Authorization")
        if request.url.path.startswith("/v1") and state.key and held != f"Bearer {state.key}":
            return refused(401, "no_key", "this endpoint asks for a key", "type one")
        return await answer(request)

    @app.get("/v1/models")
    def models() -> dict[str, Any]:
        return {"models": state.statuses()}

    @app.post("/v1/detect")
    async def detect(request: Request) -> Any:
        data, query = await request.body(), dict(request.query_params)
        state.asked.append((query, data))
        if state.busy:
            state.busy -= 1
            busy = refused(503, "overloaded", "too many images wait", "ask again later")
            busy.headers["Retry-After"] = "1"
            return busy
        name = query.get("model", next(iter(state.models)))
        if name not in state.models:
            raise NotFound(f"no model '{name}'; choose one of {', '.join(state.models)}")
        return state.detect(name, data)

    return app


def refused(status: int, code: str, message: str, hint: str) -> JSONResponse:
    error = {"code": code, "message": message, "hint": hint, "request_id": "made-0"}
    return JSONResponse({"error": error}, status)
