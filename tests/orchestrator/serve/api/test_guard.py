"""Keys, rates, and what may be fetched."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_host import Client, MadeHost, picture, problem_of

from orchestrator.serve.api.guard.fetch import Fetcher, origin_of
from orchestrator.serve.api.guard.keys import KeyRing, new_key, read_keys, write_keys
from orchestrator.serve.api.guard.rate import RateLimit
from workloads.errors import ConfigError


@pytest.fixture
def host() -> MadeHost:
    return MadeHost()


@pytest.fixture
def keys(tmp_path):
    """A file with two keys, and the keys."""
    made = [new_key("Ann"), new_key("Bob")]
    path = tmp_path / "keys.yaml"
    write_keys(path, [entry for _, entry in made])
    return path, [key for key, _ in made]


def test_a_file_of_keys_has_no_keys_and_is_its_owners_alone(keys):
    path, (ann, bob) = keys
    text = path.read_text()
    assert ann not in text
    assert hashlib.sha256(ann.encode()).hexdigest() in text
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in read_keys(path)] == ["Ann", "Bob"]
    assert list(path.parent.iterdir()) == [path]
    assert ann.startswith("wsol_")
    assert ann != bob


@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/docs", "/openapi.json", "/nothing"])
def test_everything_but_probes_needs_a_key(host, keys, path):
    file, (ann, bob) = keys
    client = Client(host, keys_file=file)
    answer = client.get(path)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "no API key" in problem_of(answer, 401, "unauthorized")["message"]
    for wrong in (ann[:-1], ann + "x", "", "ä", "wsol_"):
        headers = {"Authorization": f"Bearer {wrong}".encode()}
        problem_of(client.get(path, headers=headers), 401)
    problem_of(client.get(path, headers={"Authorization": f"Basic {ann}"}), 401)
    for headers in ({"Authorization": f"Bearer {ann}"}, {"x-api-key": bob}):
        assert client.get(path, headers=headers).status_code == (404 if "no" in path else 200)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"])
def test_probes_need_no_key(host, keys, path):
    assert Client(host, keys_file=keys[0], rate_per_s=0.1).get(path).status_code == 200


def test_a_body_without_a_key_is_not_looked_at(host, keys):
    client = Client(host, keys_file=keys[0])
    problem_of(client.detect(picture()), 401)
    assert host.asked == []


def test_a_key_can_be_added_and_revoked_while_the_endpoint_runs(host, keys):
    path, (ann, bob) = keys
    ring = KeyRing(path)
    assert ring.find(ann).name == "Ann"
    write_keys(path, read_keys(path)[1:])
    assert ring.find(ann) is None
    assert ring.find(bob).name == "Bob"
    path.write_text("nonsense: [")
    assert ring.find(bob).name == "Bob"  # a broken file locks nobody out
    path.unlink()
    assert ring.find(bob) is None


def test_a_file_of_json_lines(tmp_path):
    key, entry = new_key("Ann")
    path = tmp_path / "keys"
    path.write_text(json.dumps(entry.model_dump()) + "\n\n")
    assert KeyRing(path).find(key) == entry


def test_a_file_that_others_can_read_is_used_with_a_warning(keys, caplog):
    path, (ann, _) = keys
    path.chmod(0o644)
    assert KeyRing(path).find(ann)
    assert "chmod 600" in caplog.text


@pytest.mark.parametrize("text", ["a: b", "- 1", "[", '{"id": "x"}', "- {id: a, name: b}", "{"])
def test_a_wrong_file_of_keys(tmp_path, text):
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(ConfigError):
        KeyRing(path)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_two_seconds_worth_and_then_the_rate_holds():
    clock = Clock()
    limit = RateLimit(5, clock)
    assert [limit.take("a") for _ in range(10)] == [0] * 10
    assert limit.take("a") == pytest.approx(0.2)
    assert limit.take("b") == 0
    clock.now = 0.21
    assert limit.take("a") == 0
    assert limit.take("a") > 0


@given(
    st.floats(0.01, 100),
    st.lists(st.floats(0, 5), min_size=1, max_size=50),
)
def test_no_client_gets_more_than_its_rate_and_who_waits_as_told_is_served(per_s, pauses):
    clock = Clock()
    limit = RateLimit(per_s, clock)
    passed = 0
    for pause in pauses:
        clock.now += pause
        wait = limit.take("a")
        passed += wait == 0
        if wait:
            clock.now += wait * (1 + 1e-9)
            assert limit.take("a") == 0
            passed += 1
    assert passed <= max(1, 2 * per_s) + per_s * clock.now + 1e-6


def test_many_clients_take_bounded_memory():
    limit = RateLimit(1)
    for i in range(10_100):
        limit.take(str(i))
    assert len(limit._buckets) == 10_000


def test_too_many_requests_of_one_key_do_not_stop_another(host, keys):
    path, (ann, bob) = keys
    client = Client(host, keys_file=path, rate_per_s=0.01)
    assert client.get("/v1/models", headers={"x-api-key": ann}).status_code == 200
    answer = client.get("/v1/models", headers={"x-api-key": ann})
    problem_of(answer, 429, "rate_limited")
    assert 90 <= int(answer.headers["retry-after"]) <= 100
    assert client.get("/v1/models", headers={"x-api-key": bob}).status_code == 200


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("https://example.org/a", ("https", "example.org", 443)),
        ("HTTP://Example.ORG:8080", ("http", "example.org", 8080)),
        ("http://[::1]/a", ("http", "::1", 80)),
        ("ftp://example.org/a", None),
        ("file:///etc/passwd", None),
        ("http://user@example.org/", None),
        ("http://user:pw@example.org/", None),
        ("http://exam ple.org/", None),
        ("http://example.org\\@evil.org/", None),
        ("http://example.org:99999/", None),
        ("http://example.org:x/", None),
        ("http://example.org/\r\nX: y", None),
        ("http://exämple.org/", None),
        ("//example.org/", None),
        ("", None),
        ("http://[::1/", None),
    ],
)
def test_origins_of_addresses(address, origin):
    assert origin_of(address) == origin


class Images(http.server.BaseHTTPRequestHandler):
    """A server of images and of traps."""

    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(2)
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/a.png?x=1")
            self.end_headers()
            return
        self.send_response(404 if self.path == "/none" else 200)
        self.end_headers()
        token = self.headers.get("Authorization", "")
        data = picture(9, 9) if token else picture()
        try:
            if self.path == "/endless":
                while True:
                    self.wfile.write(b"x" * 1000)
            self.wfile.write(data if self.path == "/a.png?x=1" else b"")
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def images() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Images) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_image_is_fetched_if_its_origin_is_listed(host, images):
    body = {"url": f"{images}/a.png?x=1"}
    open_ = Client(host, fetch_from=(images,))
    assert open_.post("/v1/detect", json=body).json()["width"] == 30
    problem = problem_of(Client(host).post("/v1/detect", json=body), 422, "cannot_fetch")
    assert "serve.fetch_from" in problem["message"]
    for other in ("https://example.org", "*", "http://127.0.0.1", images.replace("http", "https")):
        problem_of(Client(host, fetch_from=(other,)).post("/v1/detect", json=body), 422)


@pytest.mark.parametrize(
    ("path", "code", "word"),
    [
        ("/moved", "cannot_fetch", "302"),
        ("/none", "cannot_fetch", "404"),
        ("/endless", "too_large", "over 50000 bytes"),
        ("/slow", "cannot_fetch", "time"),
        ("/empty", "unsupported_type", "empty"),
    ],
)
def test_addresses_without_an_image(host, images, path, code, word):
    client = Client(host, fetch_from=(images,), request_timeout_s=0.5)
    answer = client.post("/v1/detect", json={"url": images + path})
    status = {"too_large": 413, "unsupported_type": 415}.get(code, 422)
    if path == "/slow":  # either limit may end first
        assert answer.status_code in (422, 503)
        return
    assert word in problem_of(answer, status, code)["message"]


def test_an_origin_where_nobody_listens(host):
    client = Client(host, fetch_from=("http://127.0.0.1:9",))
    problem_of(client.post("/v1/detect", json={"url": "http://127.0.0.1:9/"}), 422, "cannot_fetch")


def test_no_proxy_is_asked(images, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert os.environ["http_proxy"]
    import asyncio

    fetched = asyncio.run(Fetcher((images,), 5).fetch(f"{images}/a.png?x=1", 10**6))
    assert fetched == picture()
