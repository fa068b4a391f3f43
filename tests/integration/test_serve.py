"""The endpoint over real HTTP, on Ray Serve and without it: boxes of annotate, limits, health."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import grpc
import httpx
import psutil
import pytest
from samples import CLASSES, make_images, make_settings, picture

from orchestrator.annotate.annotate import annotate
from orchestrator.serve.serve import running, serve
from workloads.artifacts import read_json, read_manifest
from workloads.errors import (
    ConfigError,
    Conflict,
    IntegrityError,
    NotFound,
    ResourceError,
)

RAW = {"Content-Type": "application/octet-stream"}
# Over its limit of resting connections httpx closes some that a thread was just given.
MANY = httpx.Limits(max_keepalive_connections=None)


@pytest.fixture(scope="module", params=["inline", "local"])
def endpoint(request, model_folder, tmp_path_factory) -> Iterator[str]:
    if request.param == "local":
        request.getfixturevalue("ray_cluster")
    settings = make_settings(tmp_path_factory.mktemp("serve"), request.param)
    with running(settings, str(model_folder), settings.serve) as url:
        yield url


@pytest.fixture(scope="module")
def client(endpoint) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=endpoint, timeout=60, limits=MANY, trust_env=False) as client:
        yield client


def detect(client: httpx.Client, data: bytes, **arguments) -> httpx.Response:
    return client.post("/v1/detect", content=data, headers=RAW, **arguments)


def found(client: httpx.Client, data: bytes) -> dict:
    return found_in(detect(client, data))


def found_in(response: httpx.Response) -> dict:
    """The answer but for the name of the request and its time."""
    own = ("request_id", "timings_ms")
    return {name: value for name, value in response.json().items() if name not in own}


def error_of(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert list(response.json()) == ["error"]
    error = response.json()["error"]
    assert list(error) == ["code", "message", "hint", "request_id"]
    assert response.headers["X-Request-Id"] == error["request_id"]
    line = f"{error['message']}; {error['hint']}"
    assert "\n" not in line
    assert "Traceback" not in line
    return str(line)


def test_it_is_ready_when_it_is_handed_over(client):
    assert client.get("/readyz").json() == {"status": "ready"}
    assert client.get("/healthz").json() == {"status": "ok"}


def test_the_answer_names_the_model_that_gave_it(client, model_folder):
    answer = detect(client, picture(0)).json()
    assert answer["model"] == {
        "name": model_folder.name,
        "version": None,
        "digest": read_manifest(model_folder, "model")["digest"],
        "method": "cam",
        "backbone": "tiny",
    }
    assert {d["class"] for d in answer["detections"]} <= set(CLASSES)


def test_the_boxes_are_exactly_those_of_annotate(client, model_folder, tmp_path):
    settings = make_settings(tmp_path / "workspace")
    folder = make_images(tmp_path / "images", 20)
    result = annotate(settings, folder, str(model_folder), tmp_path / "out")
    coco = read_json(result.files["coco"])
    assert result.boxes > 20
    for image in coco["images"]:
        answer = detect(client, (folder / image["file_name"]).read_bytes()).json()
        expected = [a for a in coco["annotations"] if a["image_id"] == image["id"]]
        assert [d["score"] for d in answer["detections"]] == [a["score"] for a in expected]
        assert [d["label"] + 1 for d in answer["detections"]] == [
            a["category_id"] for a in expected
        ]
        assert [d["box"] for d in answer["detections"]] == [
            [x, y, x + w, y + h] for x, y, w, h in (a["bbox"] for a in expected)
        ]
        assert (answer["width"], answer["height"]) == (image["width"], image["height"])


def test_the_ports_of_a_copy_ask_for_the_token(endpoint, request):
    """One of them takes pickled requests: whoever reached it could run code."""
    if "local" not in request.node.callspec.id:
        pytest.skip("no copies")
    codes = {code_without_token(port) for port in ports_of_copies()}
    assert grpc.StatusCode.UNAUTHENTICATED in codes
    assert codes <= {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED}


def ports_of_copies() -> list[int]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if ":Detector" in " ".join(process.cmdline()):
                found += [c.laddr.port for c in process.net_connections() if c.status == "LISTEN"]
    return found


def code_without_token(port: int) -> grpc.StatusCode:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/ray.serve.ASGIService/HandleRequest")
        with pytest.raises(grpc.RpcError) as refused:
            call(b"", timeout=20)
    return refused.value.code()


def test_many_at_once_get_what_each_gets_alone(client):
    pictures = [picture(seed) for seed in range(32)]
    alone = [found(client, data) for data in pictures]
    with ThreadPoolExecutor(32) as pool:
        together = list(pool.map(lambda data: found(client, data), pictures * 3))
    assert together == alone * 3


def test_a_bad_image_does_not_harm_those_beside_it(client):
    good, bad = picture(1), picture(1)[:200]
    expected = found(client, good)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda data: detect(client, data), [good, bad] * 8))
    assert [a.status_code for a in answers] == [200, 422] * 8
    assert all(found_in(a) == expected for a in answers[::2])


def test_a_form_gives_the_same(client):
    data = picture(2)
    answer = client.post("/v1/detect", files={"file": ("a.jpg", data, "image/jpeg")})
    assert found_in(answer) == found(client, data)


def test_min_score(client):
    everything = detect(client, picture(3)).json()["detections"]
    limit = sorted(d["class_score"] for d in everything)[len(everything) // 2]
    found = detect(client, picture(3), params={"min_score": limit}).json()["detections"]
    assert found == [d for d in everything if d["class_score"] >= limit]


@pytest.mark.parametrize("size", [2**20 + 1, 30 * 2**20])
def test_a_large_body_is_refused(client, size):
    assert "serve.max_request_mb" in error_of(detect(client, b"x" * size), 413)


def test_a_large_body_of_unknown_length_is_refused(client):
    chunks = (b"x" * 2**16 for _ in range(64))
    response = client.post("/v1/detect", content=chunks, headers=RAW)
    error_of(response, 413)
    assert detect(client, picture(0)).status_code == 200


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (picture(0), "text/plain", 415),
        (b"%PDF-1.4", "application/octet-stream", 415),
        (picture(0)[:100], "image/jpeg", 422),
        (b"--x--\r\n", "multipart/form-data; boundary=x", 400),
    ],
)
def test_what_is_no_image_is_refused(client, data, kind, status):
    response = client.post("/v1/detect", content=data, headers={"Content-Type": kind})
    error_of(response, status)


def test_several_files_are_refused(client):
    files = [("a", ("a.jpg", picture(0))), ("b", ("b.jpg", picture(1)))]
    assert "exactly one file" in error_of(client.post("/v1/detect", files=files), 400)


def test_people_and_programs_find_their_way(client):
    assert "/v1/detect" in client.get("/openapi.json").json()["paths"]
    for page in ("/", "/docs"):
        assert client.get(page).headers["Content-Type"].startswith("text/html")
    assert "wsol_requests_total" in client.get("/metrics").text


def test_a_request_chooses_what_it_is_answered(client):
    whole = detect(client, picture(3)).json()
    assert whole["maps"] is None
    label = whole["detections"][0]["class"]
    params = {"classes": label, "return": "boxes,map", "max_detections": 1}
    some = detect(client, picture(3), params=params).json()
    assert [d["class"] for d in some["detections"]] == [label]
    assert {scale["height"] for one in some["maps"]["classes"] for scale in one["scales"]}
    assert "point" not in some["detections"][0]


def test_a_taken_port_is_said_before_ray_starts(settings, model_folder):
    where = rf"127\.0\.0\.1:{settings.serve.port}"
    with (
        socket.create_server(("127.0.0.1", settings.serve.port)),
        pytest.raises(ResourceError, match=rf"{where}.*--port"),
    ):
        serve(settings, str(model_folder), settings.serve)


def test_a_wrong_host(settings, model_folder):
    serving = settings.serve.model_copy(update={"host": "no.such.host.invalid"})
    with pytest.raises(ConfigError, match=r"serve\.host"):
        serve(settings, str(model_folder), serving)


def test_a_model_that_is_missing_or_changed(settings, model_folder, tmp_path):
    with pytest.raises(NotFound):
        serve(settings, str(tmp_path / "nothing@champion"), settings.serve)
    shutil.copytree(model_folder, tmp_path / "model")
    (tmp_path / "model" / "weights.safetensors").write_bytes(b"other")
    with pytest.raises(IntegrityError, match=r"weights\.safetensors"):
        serve(settings, str(tmp_path / "model"), settings.serve)


def test_a_second_endpoint_does_not_replace_the_first(
    client, endpoint, settings, model_folder, request
):
    if "inline" in request.node.callspec.id:
        pytest.skip("another process has another port")
    with pytest.raises(Conflict, match="serves something already"):
        serve(settings, str(model_folder), settings.serve)
    assert detect(client, picture(0)).status_code == 200
