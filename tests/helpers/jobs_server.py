"""A small web server that answers as Ray's dashboard does, with a token; it runs no jobs."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "secret-of-ray"
RESOURCES = {"CPU": 4.0, "wsol_job_slot": 1.0}


class JobsServer(ThreadingHTTPServer):
    """What it has, and how it fails.

    Attributes:
        fails: HTTP status and text of every answer; None: it works.
        silent_s: it waits so long before it answers.
        packages: code by name.
        jobs: requests by submission id.
        asked: method and path of every request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fails: tuple[int, str] | None = None
        self.silent_s = 0.0
        self.packages: dict[str, bytes] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: JobsServer

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path))
        time.sleep(self.server.silent_s)
        code, said = self._refusal() or self.server.fails or self._does(body)
        data = said.encode() if isinstance(said, str) else json.dumps(said).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def _refusal(self) -> tuple[int, str] | None:
        given = self.headers.get("Authorization")
        if given is None:
            return 401, "Unauthorized: Missing authentication token"
        return None if given == f"Bearer {TOKEN}" else (403, "Forbidden: Invalid token")

    def _does(self, body: bytes) -> tuple[int, Any]:
        server, name = self.server, self.path.rpartition("/")[2]
        match self.command, self.path.partition("?")[0].split("/")[2:]:
            case "GET", ["v0", "nodes"]:
                node = {"state": "ALIVE", "resources_total": RESOURCES}
                return 200, {"data": {"result": {"result": [node]}}}
            case "GET", ["cluster_status"]:
                usage = {"wsolJobSlot": [1.0, 1.0]}
                return 200, {"data": {"clusterStatus": {"loadMetricsReport": {"usage": usage}}}}
            case "GET", ["packages", "gcs", _]:
                return (200, "") if name in server.packages else (404, "does not exist")
            case "PUT", ["packages", "gcs", _]:
                server.packages[name] = body
                return 200, ""
            case "GET", ["jobs", ""]:
                rows = [
                    {"submission_id": one, "status": "PENDING", "message": None}
                    for one in server.jobs
                ]
                return 200, [*rows, {"submission_id": None, "status": "RUNNING", "message": ""}]
            case "POST", ["jobs", ""]:
                request = json.loads(body)
                server.jobs[request["submission_id"]] = request
                return 200, {"submission_id": request["submission_id"]}
            case ("POST", ["jobs", submission, "stop"]) | ("DELETE", ["jobs", submission]):
                return (200, {}) if submission in server.jobs else (404, f"no job {submission}")
        return 404, "no such page"

    def log_message(self, *words: object) -> None:
        pass


@contextmanager
def jobs_server() -> Iterator[JobsServer]:
    """The server, for the time of the block."""
    with JobsServer() as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield found
        finally:
            found.shutdown()
            thread.join()
