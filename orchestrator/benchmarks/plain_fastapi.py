"""Endpoints to measure against: the same model behind FastAPI and uvicorn, and behind LitServe.

python -m orchestrator.benchmarks.plain_fastapi MODEL PORT COPIES
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch

MODEL_VARIABLE = "WSOL_BENCH_MODEL"


def answer(loop: Any, data: bytes) -> dict[str, Any]:
    """The boxes of an image file, as JSON."""
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


def make_loop() -> Any:
    """The model that the environment names, with one thread."""
    from workloads.benchmarks.plain_annotation import PlainLoop
    from workloads.models.model import Model

    torch.set_num_threads(1)
    return PlainLoop(Model.open(Path(os.environ[MODEL_VARIABLE])))


def fastapi_app() -> Any:
    """As the tutorial has it: a function for a path, run by the pool of threads."""
    from fastapi import FastAPI, Request
    from fastapi.concurrency import run_in_threadpool
    from fastapi.responses import JSONResponse

    app, loop = FastAPI(), make_loop()

    async def detect(request: Request) -> JSONResponse:
        return JSONResponse(await run_in_threadpool(answer, loop, await request.body()))

    app.add_route("/v1/detect", detect, methods=["POST"])
    return app


def serve_fastapi(port: int, copies: int) -> None:
    """So many processes behind one port."""
    import uvicorn

    uvicorn.run(
        "orchestrator.benchmarks.plain_fastapi:fastapi_app",
        factory=True, host="127.0.0.1", port=port, workers=copies, log_level="error",
    )  # fmt: skip


if __name__ == "__main__":
    model, port, copies = sys.argv[1:]
    os.environ[MODEL_VARIABLE] = model
    serve_fastapi(int(port), int(copies))
