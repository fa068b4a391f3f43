"""Connections that are no good, through real sockets."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from made_host import MadeHost, picture
from samples import free_port

from orchestrator.config.settings import Serving
from orchestrator.serve import http_protocol
from orchestrator.serve.listening import listening

SHORT_S = 0.3


@pytest.fixture
def host() -> MadeHost:
    return MadeHost()


@pytest.fixture
def port(host: MadeHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """An endpoint that waits for headers for SHORT_S only."""
    monkeypatch.setattr(http_protocol, "HEADERS_S", SHORT_S)
    port = free_port()
    with listening(host, Serving(port=port)):
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def heard(connection: socket.socket) -> tuple[int, dict[str, str]]:
    """Status and error of the answer, after which the connection is closed."""
    with connection:
        said = b""
        while piece := connection.recv(65536):
            said += piece
    head, _, body = said.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
    assert b"connection: close" in head
    error: dict[str, str] = json.loads(body)["error"]
    assert set(error) == {"code", "message", "hint", "request_id"}
    return int(head.split()[1]), error


def test_who_says_nothing_is_not_waited_for(port):
    began = time.monotonic()
    status, error = heard(connect(port))
    assert (status, error["code"]) == (408, "upload_too_slow")
    assert SHORT_S * 0.9 <= time.monotonic() - began < 5


def test_who_says_it_slowly_is_not_waited_for(port):
    began = time.monotonic()
    with connect(port) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: t\r\n")
        with pytest.raises(OSError, match=r"Broken pipe|reset by peer"):
            dribble(connection)
    assert time.monotonic() - began < 5


def dribble(connection: socket.socket) -> None:
    for number in range(1000):
        connection.sendall(f"X-{number}: x\r\n".encode())
        time.sleep(0.02)


@pytest.mark.parametrize("part", [b"X: " + b"x" * 1000, b"X: y\r\n" * 200])
def test_headers_without_an_end_are_refused(port, part):
    connection = connect(port)
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: t\r\n" + part * 70)
    status, error = heard(connection)
    assert (status, error["code"]) == (431, "headers_too_large")


@pytest.mark.parametrize(
    "nonsense", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", b"GET\r\n\r\n", b"\0" * 100]
)
def test_what_is_no_http_is_refused(port, nonsense):
    connection = connect(port)
    connection.sendall(nonsense)
    status, error = heard(connection)
    assert (status, error["code"]) == (400, "malformed")


def test_a_connection_may_rest_between_requests(port):
    headers = {"Content-Type": "image/png"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        for _ in range(3):
            answer = client.post("/v1/detect", content=picture(), headers=headers)
            assert answer.status_code == 200
            time.sleep(1.5 * SHORT_S)


def test_a_body_has_the_time_of_the_request(port):
    def slowly() -> Iterator[bytes]:
        data = picture()
        for start in range(0, len(data), 20):
            yield data[start : start + 20]
            time.sleep(0.2)

    answer = httpx.post(
        f"http://127.0.0.1:{port}/v1/detect", content=slowly(),
        headers={"Content-Type": "image/png"}, trust_env=False,
    )  # fmt: skip
    assert answer.status_code == 200


def test_a_large_upload_comes_with_its_headers(port):
    """The first piece that is read may hold more of the body than headers may have."""
    data = picture(90, 90) + b"\0" * 10 * http_protocol.MAX_HEADER_BYTES
    answer = httpx.post(
        f"http://127.0.0.1:{port}/v1/detect", content=data,
        headers={"Content-Type": "image/png"}, trust_env=False,
    )  # fmt: skip
    assert answer.status_code in (200, 422)


def test_the_next_request_may_begin_before_an_answer(port, host):
    """Half of it: the answer that is being made comes whole all the same."""
    host.seconds = 4 * SHORT_S
    data = picture()
    whole = (
        b"POST /v1/detect HTTP/1.1\r\nHost: t\r\nContent-Type: image/png\r\n"
        + f"Content-Length: {len(data)}\r\n\r\n".encode()
        + data
    )
    said = b""
    with connect(port) as connection:
        connection.sendall(whole + b"GET /healthz HTTP/1.1\r\nHo")
        while piece := connection.recv(65536):
            said += piece
    first, _, second = said.partition(b"HTTP/1.1 408")
    assert first.startswith(b"HTTP/1.1 200")
    assert json.loads(first.partition(b"\r\n\r\n")[2])["detections"]
    assert b"upload_too_slow" in second
