"""Serves the files of the page: these and no others, from memory."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fastapi import FastAPI, Request, Response

from workloads.errors import NotFound

FOLDER = Path(__file__).parent
INDEX = "index.html"
FILES = {
    INDEX: "text/html",
    "style.css": "text/css",
    "app.js": "text/javascript",
    "api.js": "text/javascript",
    "boxes.js": "text/javascript",
    "controls.js": "text/javascript",
    "draw.js": "text/javascript",
    "found.js": "text/javascript",
    "maps.js": "text/javascript",
    "photo.js": "text/javascript",
    "share.js": "text/javascript",
    "samples/1.png": "image/png",
    "samples/2.png": "image/png",
    "samples/3.png": "image/png",
}
"""Content types of all files, by their path below the page's folder."""


def add_page(app: FastAPI) -> None:
    """Let an app answer `GET /` with the page and `GET /page/FILE` with the files beside it.

    Args:
        app: turns `NotFound` into its own kind of answer, and sends the content policy.
    """
    contents = {name: (FOLDER / name).read_bytes() for name in FILES}
    tags = {name: f'"{hashlib.sha256(data).hexdigest()[:32]}"' for name, data in contents.items()}

    def answer(request: Request, name: str) -> Response:
        # Asked for again each time, and sent only if it changed.
        headers = {"Cache-Control": "no-cache", "ETag": tags[name]}
        if tags[name] in request.headers.get("If-None-Match", ""):
            return Response(status_code=304, headers=headers)
        return Response(contents[name], media_type=FILES[name], headers=headers)

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    def index(request: Request) -> Response:
        return answer(request, INDEX)

    @app.api_route("/page/{name:path}", methods=["GET", "HEAD"], include_in_schema=False)
    def file(request: Request, name: str) -> Response:
        if name not in contents:
            raise NotFound(f"the page has no file '{name}'; open / instead")
        return answer(request, name)
