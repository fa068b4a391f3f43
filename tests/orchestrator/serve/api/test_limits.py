"""Limits on bodies, headers, time and work, and the frame of every answer."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import httpx
import pytest
from made_host import Client, MadeHost, picture, problem_of

from orchestrator.config.settings import Serving
from orchestrator.serve.api.errors import Refused
from orchestrator.serve.api.guard.work import HELD_BODIES, Work
from orchestrator.serve.api.watch.trace import Trace
from workloads.errors import ConfigError

MAX_BODY = 50_000
KINDS = ["image/png", "multipart/form-data; boundary=x", "application/json"]


@pytest.fixture
def host() -> MadeHost:
    return MadeHost()


@pytest.fixture
def client(host) -> Client:
    return Client(host)


@pytest.mark.parametrize(
    ("declared", "headers", "chunks"),
    [
        (2 * MAX_BODY + 1, {}, 0),  # far too large: not read
        (MAX_BODY + 1, {}, 1),  # read to its end, so that who sends it hears the answer
        (MAX_BODY + 1, {"Expect": "100-continue"}, 0),  # nothing is sent before the answer
    ],
)
def test_a_body_declared_over_the_limit_is_refused(client, declared, headers, chunks):
    read = []

    async def body():
        read.append(True)
        yield b"x" * (MAX_BODY + 1)

    headers = {"Content-Type": "image/png", "Content-Length": str(declared), **headers}
    answer = client.post("/v1/detect", content=body(), headers=headers)
    assert "serve.max_request_mb" in problem_of(answer, 413, "too_large")["message"]
    assert len(read) == chunks
    assert ("connection" in answer.headers) == (chunks == 0)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        *(("/v1/detect", kind) for kind in KINDS),
        *(("/v1/detect:batch", kind) for kind in KINDS[1:]),
        ("/v2/models/a/folder/infer", "application/json"),
        ("/label-studio/predict", "application/json"),
    ],
)
def test_an_endless_body_is_cut(client, kind, path):
    read = []

    async def endless():
        while True:
            read.append(1000)
            yield b"x" * 1000

    answer = client.post(path, content=endless(), headers={"Content-Type": kind})
    assert f"over {MAX_BODY} bytes" in problem_of(answer, 413, "too_large")["message"]
    assert 2 * MAX_BODY < sum(read) <= 2 * MAX_BODY + 2000
    assert answer.headers["connection"] == "close"


def test_a_body_of_exactly_the_limit_is_read(client):
    problem_of(client.detect(b"x" * MAX_BODY), 415)
    problem_of(client.detect(b"x" * (MAX_BODY + 1)), 413)


def test_a_form_of_exactly_the_limit_is_read_whole(client):
    head = (
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\n'
        b"Content-Type: image/png\r\n\r\n"
    )
    image = picture()
    room = MAX_BODY - len(head) - len(image) - len(b"\r\n--x--\r\n")
    body = head + image + b"\0" * room + b"\r\n--x--\r\n"
    assert len(body) == MAX_BODY
    kind = "multipart/form-data; boundary=x"
    assert client.detect(body, kind).json()["width"] == 30
    problem_of(client.detect(b" " + body, kind), 413)


@pytest.mark.parametrize("length", ["9" * 400, "-1", "x", ""])
def test_a_declared_length_that_is_a_lie_does_no_harm(client, length):
    headers = {"Content-Type": "image/png", "Content-Length": length}
    answer = client.post("/v1/detect", content=picture(), headers=headers)
    assert answer.status_code == (413 if length.isdecimal() else 200)


def test_long_headers_are_refused(client):
    problem_of(client.get("/healthz", headers={"A": "x" * 40_000}), 431, "headers_too_large")
    problem_of(client.get("/healthz", params={"a": "x" * 40_000}), 431, "headers_too_large")
    assert client.get("/healthz", headers={"A": "x" * 30_000}).status_code == 200


def test_a_slow_upload_is_given_up(host):
    client = Client(host, request_timeout_s=0.2)

    async def slow():
        for _ in range(100):
            yield b"x"
            await asyncio.sleep(0.02)

    answer = client.detect(slow())
    assert "serve.request_timeout_s" in problem_of(answer, 408, "upload_too_slow")["message"]
    assert answer.headers["connection"] == "close"


def test_a_slow_answer_is_given_up(host):
    host.seconds = 5
    answer = Client(host, request_timeout_s=0.1).detect(picture())
    problem_of(answer, 503, "timeout")
    assert int(answer.headers["retry-after"]) >= 1


def together(client: Client, *bodies: object) -> list[httpx.Response]:
    """Requests at the same time."""

    async def send() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=client.transport, base_url="http://t") as http:
            headers = {"Content-Type": "image/png"}
            one = [http.post("/v1/detect", content=body, headers=headers) for body in bodies]
            return await asyncio.gather(*one)

    return asyncio.run(send())


def test_more_requests_than_may_be_in_work_are_turned_away(host):
    host.seconds = 0.1
    client = Client(host, max_queue=2)
    answers = together(client, *[picture()] * 5)
    assert sorted(one.status_code for one in answers) == [200, 200, 503, 503, 503]
    refused = next(one for one in answers if one.status_code == 503)
    assert "serve.max_queue" in problem_of(refused, 503, "overloaded")["message"]
    assert refused.headers["retry-after"] == "1"
    assert client.detect(picture()).status_code == 200  # all places are free again


def test_requests_that_would_wait_for_too_long_are_turned_away(host):
    host.seconds = 0.1
    client = Client(host, max_wait_s=0.01)
    assert client.detect(picture()).status_code == 200  # now the pace is known
    answers = together(client, *[picture()] * 5)
    # One that is worked on and one that is next are let in, however slow the model is.
    assert sorted(one.status_code for one in answers) == [200, 200, 503, 503, 503]
    refused = next(one for one in answers if one.status_code == 503)
    assert "serve.max_wait_s" in problem_of(refused, 503, "overloaded")["message"]


def test_whoever_is_turned_away_is_told_when_half_of_the_others_are_answered(host):
    work = Work(Serving(max_queue=20))
    work._pace.seconds = 0.7
    trace = Trace("id", "POST", "")
    with ExitStack() as jobs:
        for _ in range(14):
            jobs.enter_context(work.job(trace))
        with pytest.raises(Refused, match=r"10.5 s, over the 10 s of serve\.max_wait_s") as refused:
            for _ in range(6):
                jobs.enter_context(work.job(trace))
    assert refused.value.headers["Retry-After"] == "6"


def test_bodies_together_hold_a_bounded_number_of_bytes(host):
    client = Client(host)

    async def body():
        for _ in range(10):
            yield b"x" * (MAX_BODY // 10)
            await asyncio.sleep(0.01)

    answers = together(client, *(body() for _ in range(HELD_BODIES + 4)))
    codes = [one.json()["error"]["code"] for one in answers]
    assert set(codes) == {"overloaded", "unsupported_type"}
    assert codes.count("unsupported_type") >= 2
    assert "wsol_held_bytes 0.0" in client.get("/metrics").text


def test_health_and_readiness(client, host):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}
    host.ready = False
    assert client.get("/healthz").status_code == 200
    answer = client.get("/readyz")
    assert "not ready" in problem_of(answer, 503, "not_ready")["message"]
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_head_request_asks_the_same(client, host, path):
    response = client.request("HEAD", path)
    assert (response.status_code, response.content) == (200, b"")
    host.ready = False
    assert client.request("HEAD", path).status_code == client.get(path).status_code


def test_models(client):
    first, second = client.get("/v1/models").json()["models"]
    assert list(first) == [
        *("name", "version", "digest", "method", "backbone", "reference", "classes", "state"),
        *("follows", "refused", "default"),
    ]
    assert (first["default"], second["default"]) == (True, False)
    assert (second["name"], second["version"]) == ("a/folder", None)


@pytest.mark.parametrize("path", ["/nothing", "/v1/detect/", "/v2/models/x/y/z", "/page/%00"])
def test_unknown_paths(client, path):
    assert problem_of(client.get(path), 404)["message"]


def test_unknown_methods(client):
    response = client.get("/v1/detect")
    problem_of(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"
    problem_of(client.request("BREW", "/v1/models"), 405, "method_not_allowed")


@pytest.mark.parametrize("given", ["a", "A.b_c-9", "x" * 64])
def test_a_request_keeps_its_id(client, given):
    answer = client.detect(picture(), "image/png")
    assert len(answer.json()["request_id"]) == 16
    answer = client.get("/nothing", headers={"X-Request-Id": given})
    assert problem_of(answer, 404)["request_id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "ä".encode(), "a\tb"])
def test_an_id_that_might_do_harm_in_a_log_is_replaced(client, given):
    answer = client.get("/healthz", headers={"X-Request-Id": given})
    assert len(answer.headers["x-request-id"]) == 16


@pytest.mark.parametrize("path", ["/healthz", "/docs", "/nothing", "/metrics", "/openapi.json"])
def test_every_answer_has_security_headers(client, path):
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "server" not in headers


PAGE = "https://example.org"


def test_a_page_of_another_origin_is_answered_only_if_it_is_allowed(host):
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    asked["Access-Control-Request-Headers"] = "content-type,authorization"
    closed = Client(host)
    problem_of(closed.request("OPTIONS", "/v1/detect", headers=asked), 405)
    plain = closed.get("/healthz", headers={"Origin": PAGE})
    assert "access-control-allow-origin" not in plain.headers
    opened = Client(host, allowed_origins=(PAGE,))
    response = opened.request("OPTIONS", "/v1/detect", headers=asked)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == PAGE
    assert "POST" in response.headers["access-control-allow-methods"]
    for path in ("/healthz", "/nothing"):
        answer = opened.get(path, headers={"Origin": PAGE})
        assert answer.headers["access-control-allow-origin"] == PAGE
    other = {**asked, "Origin": "https://elsewhere.org"}
    problem_of(opened.request("OPTIONS", "/v1/detect", headers=other), 400, "malformed")


def test_a_client_that_leaves_is_no_fault_of_the_endpoint(client):
    sent = []

    async def leave() -> None:
        messages = [
            {"type": "http.request", "body": b"x", "more_body": True},
            {"type": "http.disconnect"},
        ]

        async def receive():
            return messages.pop(0)

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/detect",
            "raw_path": b"/v1/detect",
            "query_string": b"",
            "headers": [(b"content-type", b"image/png"), (b"transfer-encoding", b"chunked")],
            "client": ("127.0.0.1", 1),
        }
        await client.app(scope, receive, send)

    asyncio.run(leave())
    assert sent[0]["status"] == 400
    assert b'"disconnected"' in sent[1]["body"]


def test_a_wrong_keys_file_is_found_at_the_start(host, tmp_path):
    with pytest.raises(ConfigError, match="no list of keys"):
        path = tmp_path / "keys"
        path.write_text("a: b")
        Client(host, keys_file=path)
