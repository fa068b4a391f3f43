"""Ray's address: every failure is one line that says what to do."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from clusters.base import State
from clusters.cluster import parse_cluster
from clusters.tunnel import free_port
from clusters.web import ask

NODES = [
    {"state": "ALIVE", "resources_total": {"CPU": 4.0, "GPU": 1.0, "node:10.0.0.1": 1.0}},
    {"state": "ALIVE", "resources_total": {"CPU": 2.0}},
    {"state": "DEAD", "resources_total": {"CPU": 64.0}},
]


class Server(HTTPServer):
    code = 200
    body: Any = None
    leads_to: str | None = None
    tokens: tuple[str | None, ...] = ()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        given = self.headers["Authorization"]
        server.tokens = (*server.tokens, given)
        self.send_response(server.code if given == "Bearer secret" else 403)
        if server.leads_to:
            self.send_header("Location", server.leads_to)
        self.end_headers()
        self.wfile.write(server.body)

    def log_message(self, *words: object) -> None:
        pass


@contextmanager
def started() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as found:
        found.body = json.dumps({"data": {"result": {"result": NODES}}}).encode()
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with started() as found:
        yield found


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def test_living_nodes_are_counted_with_what_they_have(server: Server) -> None:
    answer = ask(address(server), "secret")
    assert (answer.nodes, answer.resources, answer.problem) == (2, {"CPU": 6.0, "GPU": 1.0}, "")


@pytest.mark.parametrize(
    ("code", "body", "problem"),
    [
        (401, b"", "wants a token and was given none"),
        (503, b"", "answers with HTTP 503"),
        (200, b"<html>", "does not answer: "),
        (200, b"[]", "is not Ray's dashboard"),
        (200, b'{"data": {"result": {"result": [{}]}}}', "is not Ray's dashboard"),
    ],
)
def test_what_is_of_no_use_says_why(server: Server, code: int, body: bytes, problem: str) -> None:
    server.code, server.body = code, body
    answer = ask(address(server), "secret")
    assert answer.nodes == 0
    assert problem in answer.problem
    assert "\n" not in answer.problem


def test_a_wrong_token_and_no_server_are_told_apart(server: Server) -> None:
    assert "refuses this token" in ask(address(server), "wrong").problem
    assert "does not answer" in ask(f"http://127.0.0.1:{free_port()}", "secret").problem
    assert "no web address" in ask("ftp://here", "secret").problem


def test_the_token_is_not_carried_on_to_where_an_address_leads(server: Server) -> None:
    with started() as other:
        server.code, server.leads_to = 302, f"{address(other)}/"
        assert "refuses this token" in ask(address(server), "secret").problem
        assert (server.tokens, other.tokens) == (("Bearer secret",), (None,))


def test_what_speaks_no_http_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH_9\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        there = f"http://127.0.0.1:{listening.getsockname()[1]}"
        problem = ask(there, "secret").problem
        thread.join()
    assert problem.startswith(f"{there} does not answer: ")
    assert "\n" not in problem


def existing(address: str, **values: Any) -> Any:
    text = {"name": "theirs", "summary": "x", "kind": "existing", "address": address, **values}
    return parse_cluster(json.dumps(text), "x")


def test_an_existing_cluster_is_asked_with_the_token_of_its_file(
    server: Server, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of the environment")
    file = tmp_path / "token"
    cluster = existing(address(server), token_path=str(file))
    status = cluster.status()
    assert status.state is State.UNREACHABLE
    assert f"no token: {file}: No such file" in status.reason
    file.write_text("secret\n")
    assert cluster.status().state is State.UP
    assert cluster.status().nodes == 2
    assert existing(address(server)).token() == "of the environment"
    assert "refuses this token" in existing(address(server)).status().reason


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("10.0.0.1:6379", "must be http://HOST:PORT"),
        ("ray://10.0.0.1:10001", "must be http://HOST:PORT"),
        ("http://me:secret@there:8265", "holds a password"),
    ],
)
def test_other_addresses_are_refused(given: str, message: str) -> None:
    from workloads.errors import ConfigError

    with pytest.raises(ConfigError, match=message):
        existing(given)
