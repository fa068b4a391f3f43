"""A campaign of requests that mean harm, over real sockets, beside good ones.

None may be answered with a 5xx but 503, the process lives and does not grow, and good requests
are answered rightly all the while. `make test-long` prints the figures.
"""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import hostile_requests
import psutil
import pytest
from hostile_requests import GOOD, KINDS, MODEL
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from orchestrator.client import Client
from orchestrator.serve.api.guard.keys import new_key, write_keys

REQUESTS = 20_000
ATTACKERS = 6
SLOW = 24
EVERY = 1_000  # requests between looks at the size of the process
MAX_GROWTH_MB = 32  # of the second half over the first
DESCRIBED = 1_500  # of the requests, made from the OpenAPI document

pytestmark = pytest.mark.long


@dataclass
class Endpoint:
    """The process that is attacked."""

    port: int
    key: str
    process: psutil.Process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def rss_mb(self) -> float:
        return self.process.memory_info().rss / 2**20


@dataclass
class Tally:
    """Counts of all threads."""

    statuses: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, kind: str, sent: bytes, answer: bytes) -> None:
        fault = fault_of(answer)
        with self.lock:
            self.kinds[kind] += 1
            self.statuses[answer[9:12].decode("latin-1") or "closed"] += 1
            if fault:
                self.faults.append(f"{kind}: {fault}: {sent[:500]!r} -> {answer[:500]!r}")


def fault_of(answer: bytes) -> str | None:
    """The fault of an answer; to be cut off without one is none of malformed HTTP."""
    if not answer:
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(answer[9:12])
    if status >= 500 and status != 503:
        return f"status {status}"
    if status >= 400 and b"x-request-id" in head.lower() and body.startswith(b"{"):
        problem = json.loads(body.partition(b"\r\n\r\nHTTP/1.1")[0].partition(b"HTTP/1.1")[0])
        if "error" not in problem:
            return "an error of another shape"
    elif status >= 400 and b"x-request-id" in head.lower() and body:
        return "an error that is no JSON"
    return None


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    key, entry = new_key("campaign")
    write_keys(tmp_path / "keys", [entry])
    script = Path(hostile_requests.__file__).with_name("hostile_server.py")
    words = [sys.executable, str(script), str(tmp_path / "keys")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    port = int(process.stdout.readline())
    found = Endpoint(port, key, psutil.Process(process.pid))
    assert Client(found.url, key).models()[0].name == MODEL
    yield found
    assert process.poll() is None, "the process is gone"
    process.terminate()
    process.wait(20)
    process.stdout.close()


def exchange(port: int, data: bytes, timeout: float = 10) -> bytes:
    """Everything that is answered to some bytes."""
    answer = bytearray()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR) if b"chunked" in data[:2000] else None
            while piece := connection.recv(2**16):
                answer += piece
    except (ConnectionError, TimeoutError):
        pass
    return bytes(answer)


def attack(endpoint: Endpoint, seed: int, count: int, tally: Tally) -> None:
    rng = random.Random(seed)
    weights = [weight for _, weight, _ in KINDS]
    for _ in range(count):
        kind, _, make = rng.choices(KINDS, weights)[0]
        data = make(rng, endpoint.key)
        if rng.random() < 0.03:  # cut off, and nobody listens
            kind, data = "cut off", data[: rng.randrange(1, len(data))]
            with socket.create_connection(("127.0.0.1", endpoint.port)) as connection:
                connection.sendall(data)
            tally.add(kind, data, b"")
            continue
        tally.add(kind, data, exchange(endpoint.port, data, 4))


def trickle(endpoint: Endpoint, tally: Tally) -> None:
    """An upload of a byte now and then, until the endpoint has had enough."""
    head = hostile_requests.request("POST", "/v1/detect", b"", "image/png", endpoint.key)
    head = head.replace(b"Content-Length: 0", b"Content-Length: 5000")
    answer, began = b"", time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", endpoint.port), timeout=0.2) as connection:
            connection.sendall(head)
            while time.monotonic() < began + 20 and not answer:
                connection.sendall(b"x")
                try:
                    answer = connection.recv(2**16)
                    break
                except TimeoutError:
                    continue
    except ConnectionError:
        pass
    assert time.monotonic() < began + 15, "a slow upload was not ended"
    tally.add("slow uploads", head, answer)


def ask_well(endpoint: Endpoint, stop: threading.Event, seconds: list[float]) -> None:
    """Good requests, whose answers never differ."""
    client = Client(endpoint.url, endpoint.key, timeout=60)
    expected = client.detect(GOOD[0]).detections
    while not stop.is_set():
        began = time.perf_counter()
        assert client.detect(GOOD[0]).detections == expected
        seconds.append(time.perf_counter() - began)
        time.sleep(0.02)


def described(document: dict[str, Any]) -> st.SearchStrategy[tuple[str, str, bytes, str]]:
    """Method, path, body and type of requests as the OpenAPI document has them, and nearly so."""
    shapes = document["components"]["schemas"]
    text = st.text(max_size=30)

    def value(schema: dict[str, Any], depth: int = 0) -> st.SearchStrategy[Any]:
        if "$ref" in schema:
            return value(shapes[schema["$ref"].rpartition("/")[2]], depth)
        if "anyOf" in schema:
            return st.one_of(*(value(one, depth) for one in schema["anyOf"]))
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        match schema.get("type"):
            case "number":
                return st.floats()
            case "integer":
                return st.integers()
            case "null":
                return st.none()
            case "array":
                return st.lists(value(schema.get("items", {}), depth + 1), max_size=4)
            case "object" if depth < 3 and schema.get("properties"):
                names = schema["properties"]
                parts = {name: value(one, depth + 1) for name, one in names.items()}
                return st.fixed_dictionaries({}, optional=parts)
        return text

    def one(path: str, method: str, operation: dict[str, Any]) -> st.SearchStrategy[Any]:
        parameters = operation.get("parameters", [])
        query = {p["name"]: value(p["schema"]) for p in parameters if p["in"] == "query"}
        names = st.one_of(st.just(MODEL), text)
        places = {p["name"]: names for p in parameters if p["in"] == "path"}
        content = operation.get("requestBody", {}).get("content", {"": {}})
        bodies = st.one_of(*(body(kind, its.get("schema", {})) for kind, its in content.items()))
        options = st.fixed_dictionaries({}, optional=query)
        return st.builds(
            lambda names, chosen, sent: (method.upper(), filled(path, names, chosen), *sent),
            st.fixed_dictionaries(places),
            options,
            bodies,
        )

    def body(kind: str, schema: dict[str, Any]) -> st.SearchStrategy[tuple[bytes, str]]:
        if kind == "application/json":
            return value(schema).map(lambda v: (json.dumps(v).encode("utf-8", "replace"), kind))
        if kind == "multipart/form-data":
            return value(schema).map(
                lambda v: hostile_requests.form(
                    [(f'Content-Disposition: form-data; name="{k}"', str(v[k]).encode()) for k in v]
                )
            )
        data = st.one_of(st.binary(max_size=50), st.sampled_from(GOOD))
        return data.map(lambda d: (d, kind.replace("*", "png")))

    return st.one_of(
        *(
            one(path, method, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        )
    )


def filled(path: str, names: dict[str, str], query: dict[str, Any]) -> str:
    for name, given_text in names.items():
        path = path.replace(f"{{{name}}}", quote(given_text, safe="/"))
    return f"{path}?{urlencode(query, doseq=True)}" if query else path


def test_nothing_that_is_sent_breaks_the_endpoint(endpoint: Endpoint) -> None:
    tally, stop, waited = Tally(), threading.Event(), list[float]()
    failures: list[BaseException] = []

    def guarded(work: Any, *given_: Any) -> threading.Thread:
        def run() -> None:
            try:
                work(*given_)
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    before = Client(endpoint.url, endpoint.key).detect(GOOD[0]).detections
    began = time.monotonic()
    good = guarded(ask_well, endpoint, stop, waited)
    slow = [guarded(trickle, endpoint, tally) for _ in range(SLOW)]
    each = (REQUESTS - DESCRIBED - SLOW) // ATTACKERS + 1
    attackers = [guarded(attack, endpoint, seed, each, tally) for seed in range(ATTACKERS)]
    sizes = [endpoint.rss_mb]
    attack_by_description(endpoint, tally)
    while any(thread.is_alive() for thread in attackers):
        time.sleep(0.5)
        if sum(tally.kinds.values()) >= len(sizes) * EVERY:
            sizes.append(endpoint.rss_mb)
    for thread in (*attackers, *slow):
        thread.join()
    stop.set()
    good.join()
    sizes.append(endpoint.rss_mb)
    print(f"\n{sum(tally.kinds.values())} requests in {time.monotonic() - began:.0f} s")  # noqa: T201
    print("kinds:", dict(tally.kinds))  # noqa: T201
    print("statuses:", dict(sorted(tally.statuses.items())))  # noqa: T201
    waited.sort()
    middle, last = waited[len(waited) // 2], waited[len(waited) * 99 // 100]
    print(f"good requests beside: {len(waited)}, median {middle:.3f} s, 99 % {last:.3f} s")  # noqa: T201
    print(f"RSS, MiB, every {EVERY} requests:", [round(size) for size in sizes])  # noqa: T201
    assert not failures, failures[:3]
    assert not tally.faults, tally.faults[:3]
    assert sum(tally.kinds.values()) >= REQUESTS
    assert len(waited) > 50
    half = len(sizes) // 2
    assert max(sizes[half:]) - max(sizes[:half]) < MAX_GROWTH_MB
    assert Client(endpoint.url, endpoint.key).detect(GOOD[0]).detections == before
    text = Client(endpoint.url, endpoint.key)._once("/metrics", None, "", time.monotonic() + 5)
    assert b"wsol_held_bytes 0.0" in text
    assert b"wsol_requests_in_work 0.0" in text


def attack_by_description(endpoint: Endpoint, tally: Tally) -> None:
    """Requests that hypothesis makes from the OpenAPI document."""
    document = json.loads(Client(endpoint.url, endpoint.key).get("/openapi.json"))

    @settings(
        max_examples=DESCRIBED,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(described(document))
    def send(made: tuple[str, str, bytes, str]) -> None:
        method, path, body, kind = made
        data = hostile_requests.request(method, path, body, kind, endpoint.key)
        tally.add("as described", data, exchange(endpoint.port, data, 4))

    send()


SCHEMATHESIS = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "4xx", "503"]
[checks.negative_data_rejection]
expected-statuses = ["4xx", "503"]
"""


def test_schemathesis_finds_no_fault(endpoint: Endpoint, tmp_path: Path) -> None:
    """Its requests from the OpenAPI document, right ones and wrong ones, and all of its checks."""
    (tmp_path / "schemathesis.toml").write_text(SCHEMATHESIS)
    words = [
        *(str(Path(sys.executable).with_name("schemathesis")), "--no-color"),
        *("--config-file", str(tmp_path / "schemathesis.toml")),
        *("run", f"{endpoint.url}/openapi.json", "--header", f"X-API-Key: {endpoint.key}"),
        *("--checks", "all", "--continue-on-failure", "--max-examples", "200", "--seed", "0"),
        # What the document calls any bytes must be an image, so not all that it allows is taken.
        *("--exclude-checks", "positive_data_acceptance"),
        *("--generation-database", "none", "--request-timeout", "10"),
    ]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=1800)
    print(done.stdout[-3000:])  # noqa: T201
    assert done.returncode == 0, done.stdout[-10_000:]
