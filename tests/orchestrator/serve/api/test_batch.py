"""`/v1/detect:batch`: one image that cannot be used does not fail the others."""

from __future__ import annotations

import asyncio
import base64
import threading

import pytest
from made_host import Client, MadeHost, picture, problem_of

from orchestrator.serve.api.shapes import BatchAnswer


@pytest.fixture
def host() -> MadeHost:
    return MadeHost()


def encoded(*images: bytes) -> list[str]:
    return [base64.b64encode(image).decode() for image in images]


def test_several_files(host):
    files = [
        ("files", ("a.png", picture(30, 20))),
        ("files", ("broken.png", b"GIF89a")),
        ("other", ("ä.png", picture(8, 4))),
    ]
    answer = Client(host).post("/v1/detect:batch", files=files, data={"min_score": "0.65"})
    found = answer.json()
    assert answer.status_code == 200
    assert set(found) == {"request_id", "results", "failed"}
    assert [one["name"] for one in found["results"]] == ["a.png", "broken.png", "ä.png"]
    assert [one.get("width") for one in found["results"]] == [30, None, 8]
    assert found["failed"] == 1
    error = found["results"][1]["error"]
    assert set(error) == {"code", "message", "hint"}
    assert error["code"] == "unsupported_type"
    assert [len(one["detections"]) for one in found["results"] if "error" not in one] == [1, 1]
    BatchAnswer.model_validate(found)


def test_json_says_the_same_as_a_form_and_as_single_requests(host):
    client, images = Client(host), (picture(30, 20), picture(8, 4))
    files = [("files", (str(i), image)) for i, image in enumerate(images)]
    form = client.post("/v1/detect:batch", files=files).json()["results"]
    json = client.post("/v1/detect:batch", json={"images": encoded(*images)}).json()["results"]
    single = [client.detect(image).json() for image in images]
    for one in (*form, *json, *single):
        del one["timings_ms"]
    assert form == json
    for one, alone in zip(form, single, strict=True):
        del one["name"], alone["request_id"]
        assert one == alone


def test_more_images_than_are_allowed(host):
    client = Client(host, max_images=3)
    files = [("f", ("a.png", picture()))] * 4
    for answer in (
        client.post("/v1/detect:batch", files=files),
        client.post("/v1/detect:batch", files=files * 2),
        client.post("/v1/detect:batch", json={"images": encoded(*[picture()] * 4)}),
    ):
        assert answer.status_code in (400, 413)
    problem = problem_of(client.post("/v1/detect:batch", files=files), 413, "too_large")
    assert "serve.max_images" in problem["message"]
    assert len(client.post("/v1/detect:batch", files=files[:3]).json()["results"]) == 3
    assert len(host.asked) == 3


@pytest.mark.parametrize("body", [{}, {"images": []}, {"images": "x"}, {"images": [1]}])
def test_json_without_images(host, body):
    problem_of(Client(host).post("/v1/detect:batch", json=body), 400, "malformed")


def test_a_wrong_question_is_wrong_for_all(host):
    client, body = Client(host), {"images": encoded(picture())}
    for options, status in (({"model": "x"}, 404), ({"classes": ["x"]}, 422), ({"x": 1}, 422)):
        problem_of(client.post("/v1/detect:batch", json={**body, **options}), status)


def test_images_that_take_too_long_are_given_up_and_the_others_answered(host):
    client = Client(host, request_timeout_s=0.5, max_batch_size=1)
    host.seconds = 0.3
    body = {"images": encoded(picture(), picture(), picture())}
    results = client.post("/v1/detect:batch", json=body).json()["results"]
    assert "error" not in results[0]
    assert [one["error"]["code"] for one in results[1:]] == ["timeout", "timeout"]


def test_no_more_images_than_a_batch_are_asked_of_the_host_at_once(host):
    busy, most, lock = 0, 0, threading.Lock()
    plain = host.detect

    async def counted(*given):
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        await asyncio.sleep(0.01)
        try:
            return await plain(*given)
        finally:
            busy -= 1

    host.detect = counted
    body = {"images": encoded(*[picture()] * 7)}
    Client(host, max_batch_size=2).post("/v1/detect:batch", json=body)
    assert most == 2
