"""The HTTP interface in this process, with a fake model behind it: no Ray, no network."""

from __future__ import annotations

import asyncio
import io
import json

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from orchestrator.serve.endpoint import ModelInfo, create_app
from workloads.detections import Detections
from workloads.errors import IntegrityError, Overloaded
from workloads.images.decode import ImageLimits, decode

MAX_BODY = 50_000


class FakeService:
    info = ModelInfo(name="m@champion", digest="d" * 64, method="some", backbone="any")
    classes = ("cat", "dög", "c'ow")
    max_body_bytes = MAX_BODY
    ready = True
    error: Exception | None = None

    async def detect(self, data) -> Detections:
        if self.error is not None:
            raise self.error
        height, width = decode(data, ImageLimits(max_pixels=10_000)).shape[:2]
        boxes = np.asarray([[0, 0, width, height], [0.1, 1 / 3, 3.3, 4.7]], np.float32)
        scores = np.asarray([0.7, 0.1], np.float32)
        return Detections(boxes, scores, np.asarray([1, 2], np.int32), width, height)


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def client(service):
    return Client(service)


class Client:
    """Synchronous calls into the application."""

    def __init__(self, service: FakeService, origins: tuple[str, ...] = ()) -> None:
        app = create_app(service, origins)
        self.transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    def request(self, method: str, path: str, **arguments) -> httpx.Response:
        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=self.transport, base_url="http://t") as client:
                return await client.request(method, path, **arguments)

        return asyncio.run(send())

    def detect(self, content, kind="application/octet-stream", **params) -> httpx.Response:
        headers = {"Content-Type": kind} if kind else {}
        return self.request("POST", "/v1/detect", content=content, headers=headers, params=params)

    def upload(self, files, **data) -> httpx.Response:
        return self.request("POST", "/v1/detect", files=files, data=data)


def picture(width: int = 30, height: int = 20, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(stream, kind)
    return stream.getvalue()


def line_of(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    body = response.json()
    assert list(body) == ["error"]
    assert "\n" not in body["error"]
    assert "Traceback" not in body["error"]
    return body["error"]


@pytest.mark.parametrize("kind", ["application/octet-stream", "image/png", "Image/JPEG; q=1"])
def test_a_raw_image(client, kind):
    response = client.detect(picture(), kind)
    assert response.status_code == 200
    assert response.json() == {
        "model": {"name": "m@champion", "digest": "d" * 64, "method": "some", "backbone": "any"},
        "width": 30,
        "height": 20,
        "detections": [
            {
                "label": 1,
                "class": "dög",
                "score": float(np.float32(0.7)),
                "box": [0.0, 0.0, 30.0, 20.0],
            },
            {
                "label": 2,
                "class": "c'ow",
                "score": float(np.float32(0.1)),
                "box": [float(v) for v in np.asarray([0.1, 1 / 3, 3.3, 4.7], np.float32)],
            },
        ],
    }


@pytest.mark.parametrize("field", ["file", "image", "ä"])
def test_a_form_with_one_file(client, field):
    response = client.upload({field: ("a.png", picture(), "image/png")})
    assert response.json() == client.detect(picture()).json()


def test_min_score_leaves_out_what_is_below(client):
    def scores(min_score) -> list[float]:
        found = client.detect(picture(), min_score=min_score).json()["detections"]
        return [d["score"] for d in found]

    assert len(scores(0)) == len(scores(0.1)) == 2
    assert len(scores(0.2)) == 1
    assert scores(0.9) == []


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "many"])
def test_a_wrong_min_score(client, value):
    line = line_of(client.detect(picture(), min_score=value), 422)
    assert line.startswith("min_score: ")
    assert repr(value) in line


@pytest.mark.parametrize("kind", ["", "text/plain", "application/json", "application/x-image"])
def test_a_wrong_content_type(client, kind):
    line = line_of(client.detect(picture(), kind), 415)
    assert f"'{kind}'" in line
    assert "application/octet-stream" in line


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

    response = client.request(
        "POST",
        "/v1/detect",
        content=body(),
        headers={"Content-Type": "image/png", "Content-Length": str(declared), **headers},
    )
    assert "serve.max_request_mb" in line_of(response, 413)
    assert len(read) == chunks


@pytest.mark.parametrize("kind", ["image/png", "multipart/form-data; boundary=x"])
def test_an_endless_body_is_cut(client, kind):
    read = []

    async def endless():
        while True:
            read.append(1000)
            yield b"x" * 1000

    assert f"over {MAX_BODY} bytes" in line_of(client.detect(endless(), kind), 413)
    assert 2 * MAX_BODY < sum(read) <= 2 * MAX_BODY + 2000


def test_a_body_of_exactly_the_limit_is_read(client):
    line_of(client.detect(b"x" * MAX_BODY), 415)
    line_of(client.detect(b"x" * (MAX_BODY + 1)), 413)


@pytest.mark.parametrize(
    ("files", "data"),
    [
        ([("a", ("a.png", picture())), ("b", ("b.png", picture()))], {}),
        ([("a", ("a.png", picture()))], {"min_score": "0.5"}),
    ],
)
def test_more_than_one_field(client, files, data):
    assert "exactly one file" in line_of(client.upload(files, **data), 422)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"--x--\r\n"),
        ("multipart/form-data; boundary=x", b"nonsense"),
        ("multipart/form-data; boundary=x", b""),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\ntext\r\n--x--\r\n',
        ),
        ("multipart/form-data; boundary=x", b"--x\r\nNo: disposition\r\n\r\ntext\r\n--x--\r\n"),
    ],
)
def test_a_form_without_a_file(client, kind, body):
    assert "exactly one" in line_of(client.detect(body, kind), 422)


@pytest.mark.parametrize(
    ("data", "status", "word"),
    [
        (b"", 415, "empty"),
        (b"GIF89a not an image", 415, "not an image"),
        (picture()[:60], 422, "cannot decode"),
        (picture(200, 100), 413, "200x100"),
        (picture(kind="GIF"), 415, "GIF"),
    ],
)
def test_a_file_that_is_no_usable_image(client, data, status, word):
    assert word in line_of(client.detect(data), status)


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (Overloaded("busy; ask later"), 503, "busy; ask later"),
        (IntegrityError("weights changed"), 500, "weights changed"),
        (RuntimeError("secret\npath"), 500, "internal error (RuntimeError)"),
    ],
)
def test_errors_of_the_model(client, service, error, status, text):
    service.error = error
    line = line_of(client.detect(picture()), status)
    assert text in line
    assert "secret" not in line


def test_health_and_readiness(client, service):
    assert client.request("GET", "/healthz").json() == {"status": "ok"}
    assert client.request("GET", "/readyz").json() == {"status": "ready"}
    service.ready = False
    assert client.request("GET", "/healthz").status_code == 200
    assert "not ready" in line_of(client.request("GET", "/readyz"), 503)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_head_request_asks_the_same(client, service, path):
    response = client.request("HEAD", path)
    assert (response.status_code, response.content) == (200, b"")
    service.ready = False
    assert client.request("HEAD", path).status_code == client.request("GET", path).status_code


def test_a_misspelt_parameter_is_refused(client):
    line = line_of(client.detect(picture(), min_scores=0.9), 422)
    assert "unknown query parameter 'min_scores'; did you mean 'min_score'" in line


PAGE = "https://example.org"


def test_a_page_of_another_origin_is_answered_only_where_it_is_allowed(service):
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    asked["Access-Control-Request-Headers"] = "content-type"
    closed = Client(service)
    assert closed.request("OPTIONS", "/v1/detect", headers=asked).status_code == 405
    plain = closed.request("GET", "/healthz", headers={"Origin": PAGE})
    assert "access-control-allow-origin" not in plain.headers
    opened = Client(service, (PAGE,))
    response = opened.request("OPTIONS", "/v1/detect", headers=asked)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == PAGE
    assert "POST" in response.headers["access-control-allow-methods"]
    answer = opened.request("GET", "/healthz", headers={"Origin": PAGE})
    assert answer.headers["access-control-allow-origin"] == PAGE
    other = {**asked, "Origin": "https://elsewhere.org"}
    assert opened.request("OPTIONS", "/v1/detect", headers=other).status_code == 400


def test_unknown_paths_and_methods(client):
    assert "GET /nothing: Not Found" in line_of(client.request("GET", "/nothing"), 404)
    assert client.request("GET", "/docs").status_code == 404
    response = client.request("GET", "/v1/detect")
    line_of(response, 405)
    assert response.headers["allow"] == "POST"


def test_the_description_is_typed(client):
    response = client.request("GET", "/openapi.json")
    document = response.json()
    detect = document["paths"]["/v1/detect"]["post"]
    assert set(detect["requestBody"]["content"]) == {
        "application/octet-stream",
        "image/*",
        "multipart/form-data",
    }
    assert set(detect["responses"]) == {"200", "413", "415", "422", "503"}
    assert [p["name"] for p in detect["parameters"]] == ["min_score"]
    detection = document["components"]["schemas"]["Detection"]
    assert set(detection["properties"]) == {"label", "class", "score", "box"}
    for status in ("413", "415", "422", "503"):
        schema = detect["responses"][status]["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Error"}
    assert "http" not in json.dumps(document)


@pytest.mark.parametrize("length", ["9" * 400, "-1", "x", ""])
def test_a_declared_length_that_is_a_lie_does_no_harm(client, length):
    headers = {"Content-Type": "image/png", "Content-Length": length}
    response = client.request("POST", "/v1/detect", content=picture(), headers=headers)
    assert response.status_code == (413 if length.isdecimal() else 200)


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
    assert client.detect(body, kind).json() == client.detect(picture()).json()
    line_of(client.detect(b" " + body, kind), 413)


def test_an_image_without_detections_is_an_answer(client, service, monkeypatch):
    async def nothing(_: bytes) -> Detections:
        empty = np.zeros((0, 4), np.float32)
        return Detections(empty, empty[:, 0], np.zeros(0, np.int32), 7, 5)

    monkeypatch.setattr(service, "detect", nothing)
    found = client.detect(b"any").json()
    assert (found["detections"], found["width"], found["height"]) == ([], 7, 5)


@settings(max_examples=30)
@given(st.floats(0, 1, width=32))
def test_a_score_that_was_answered_is_a_threshold_that_keeps_it(score):
    service = FakeService()

    async def one(_: bytes) -> Detections:
        box, scores = np.asarray([[0, 0, 3, 3]], np.float32), np.asarray([score], np.float32)
        return Detections(box, scores, np.zeros(1, np.int32), 7, 5)

    service.detect = one
    client = Client(service)
    (answered,) = client.detect(b"any").json()["detections"]
    assert np.float32(answered["score"]) == np.float32(score)
    assert len(client.detect(b"any", min_score=answered["score"]).json()["detections"]) == 1
    above = np.nextafter(answered["score"], 2)
    assert client.detect(b"any", min_score=above).json()["detections"] == []


def test_an_empty_min_score_is_wrong_and_not_taken_for_none(client):
    assert line_of(client.detect(picture(), min_score=""), 422).startswith("min_score: ")
