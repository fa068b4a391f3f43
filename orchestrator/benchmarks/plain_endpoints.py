"""Endpoints to measure against: the same model behind FastAPI and uvicorn, and behind LitServe.

python -m orchestrator.benchmarks.plain_endpoints fastapi|litserve MODEL PORT COPIES
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch

_MODEL_VARIABLE = "WSOL_BENCH_MODEL"


def _answer(loop: Any, data: bytes) -> dict[str, Any]:
    found = loop.detections(data)
    return {
        "width": found.width,
        "height": found.height,
        "detections": [
            {"label": label, "score": score, "box": box}
            for label, score, box in zip(
                found.labels.tolist(), found.scores.tolist(), found.boxes_xyxy.tolist(), strict=True
            )
        ],
    }


def _loop() -> Any:
    from workloads.benchmarks.plain_annotation import PlainLoop
    from workloads.models.model import Model

    torch.set_num_threads(1)
    return PlainLoop(Model.open(Path(os.environ[_MODEL_VARIABLE])))


def fastapi_app() -> Any:
    """As the tutorial has it: a function for a path, run by the pool of threads."""
    from fastapi import FastAPI, Request
    from fastapi.concurrency import run_in_threadpool
    from fastapi.responses import JSONResponse

    app, loop = FastAPI(), _loop()

    async def detect(request: Request) -> JSONResponse:
        return JSONResponse(await run_in_threadpool(_answer, loop, await request.body()))

    app.add_route("/v1/detect", detect, methods=["POST"])
    return app


def serve_fastapi(port: int, copies: int) -> None:
    """So many processes behind one port."""
    import uvicorn

    uvicorn.run(
        "orchestrator.benchmarks.plain_endpoints:fastapi_app",
        factory=True, host="127.0.0.1", port=port, workers=copies, log_level="error",
    )  # fmt: skip


def serve_litserve(port: int, copies: int) -> None:
    """So many workers behind one server."""
    import litserve  # type: ignore[import-untyped]
    from fastapi import Request

    class Detect(litserve.LitAPI):  # type: ignore[misc]
        """The model of this process."""

        def setup(self, device: str) -> None:
            self.loop = _loop()

        async def decode_request(self, request: Request) -> bytes:
            return await request.body()

        def predict(self, data: bytes) -> dict[str, Any]:
            return _answer(self.loop, data)

        def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
            return output

    server = litserve.LitServer(
        Detect(api_path="/v1/detect"), accelerator="cpu", workers_per_device=copies, timeout=60
    )
    server.run(host="127.0.0.1", port=port, log_level="error", generate_client_file=False)


if __name__ == "__main__":
    way, model, port, copies = sys.argv[1:]
    os.environ[_MODEL_VARIABLE] = model
    {"fastapi": serve_fastapi, "litserve": serve_litserve}[way](int(port), int(copies))
