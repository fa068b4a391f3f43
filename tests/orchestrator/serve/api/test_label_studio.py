"""The backend of Label Studio: its requests as it sends them, and regions as it takes them."""

from __future__ import annotations

import base64
import http.server
import threading
from collections.abc import Iterator

import pytest
from made_host import CLASSES, Client, MadeHost, picture, problem_of

CONFIG = (
    '<View><Header value="x"/><Image name="photo" value="$picture"/>'
    '<RectangleLabels name="boxes" toName="photo"><Label value="dög"/>'
    '<Label value="c\'ow, brown"/></RectangleLabels></View>'
)
URI = "data:image/png;base64," + base64.b64encode(picture(40, 20)).decode()


@pytest.fixture
def client() -> Client:
    return Client(MadeHost())


def predict(client: Client, *addresses: object, **more: object) -> list[dict]:
    tasks = [{"id": i, "data": {"picture": one}} for i, one in enumerate(addresses)]
    # As Label Studio sends it, with what we do not need.
    body = {"tasks": tasks, "label_config": CONFIG, "project": "1.17", "params": {}, **more}
    answer = client.post("/label-studio/predict", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def test_health_and_versions(client):
    for path in ("", "/", "/health"):
        answer = client.get(f"/label-studio{path}").json()
        assert answer == {"status": "UP", "model_class": "wsol"}
    versions = ["m@champion/3", "a/folder@eeeeeeeeeeee"]
    assert client.get("/label-studio/versions").json() == {"versions": versions}


def test_setup_and_webhook(client):
    body = {"project": "1.17", "schema": CONFIG, "hostname": "http://h:8080", "access_token": "t"}
    assert client.post("/label-studio/setup", json=body).json() == {"model_version": "m@champion/3"}
    hook = client.post("/label-studio/webhook", json={"action": "ANNOTATION_CREATED"})
    assert hook.json() == {"status": "ok"}


def test_boxes_in_percent_with_the_names_of_the_interface(client):
    (found,) = predict(client, URI)
    assert found["model_version"] == "m@champion/3"
    assert found["score"] == max(region["score"] for region in found["result"])
    first, second = found["result"]
    assert first["value"] == {
        "x": 0,
        "y": 0,
        "width": 100,
        "height": 100,
        "rotation": 0,
        "rectanglelabels": ["dög"],
    }
    assert (first["from_name"], first["to_name"], first["type"]) == (
        *("boxes", "photo", "rectanglelabels"),
    )
    assert (first["original_width"], first["original_height"]) == (40, 20)
    assert second["value"]["x"] == pytest.approx(0.1 / 40 * 100, rel=1e-6)
    assert second["value"]["height"] == pytest.approx((0.8 - 1 / 3) / 20 * 100, rel=1e-6)


def test_labels_that_the_interface_lacks_are_left_out(client):
    config = CONFIG.replace('<Label value="dög"/>', "")
    (found,) = predict(client, URI, label_config=config)
    assert [one["value"]["rectanglelabels"] for one in found["result"]] == [[CLASSES[2]]]


def test_one_bad_task_does_not_fail_the_others(client):
    bad = ["data:image/png;base64,AAAA", "data:x", 7, None, "http://10.0.0.1/a", "/data/a", "//a"]
    results = predict(client, *bad, URI)
    assert [bool(one["result"]) for one in results] == [*[False] * len(bad), True]
    assert all(one["error"]["hint"] for one in results[:-1])


class Studio(http.server.BaseHTTPRequestHandler):
    """The part of Label Studio that hands out uploaded files to whoever has its token."""

    def do_GET(self) -> None:
        known = self.headers.get("Authorization") == "Token secret"
        self.send_response(200 if known and self.path == "/data/upload/1/a.png" else 401)
        self.end_headers()
        self.wfile.write(picture(10, 10) if known else b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def studio() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Studio) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_uploaded_files_are_fetched_from_label_studio_if_it_is_listed(studio):
    path, setup = "/data/upload/1/a.png", {"hostname": studio, "access_token": "secret"}
    client = Client(MadeHost(), fetch_from=(studio,))
    assert predict(client, path)[0]["error"]["code"] == "cannot_fetch"  # it is not known yet
    client.post("/label-studio/setup", json=setup)
    for address in (path, studio + path):
        (found,) = predict(client, address)
        assert found["result"][0]["original_width"] == 10
    closed = Client(MadeHost())
    closed.post("/label-studio/setup", json=setup)
    assert predict(closed, path)[0]["error"]["code"] == "cannot_fetch"


@pytest.mark.parametrize(
    ("config", "status"),
    [
        (7, 400),
        ("<View>", 400),
        ("", 200),
        ("<View/>", 422),
        ('<!DOCTYPE a [<!ENTITY b "c">]><View>&b;</View>', 400),
        ("\0", 400),
        ("<a>" * 50_000, 400),
        ("<RectangleLabels/>", 200),
    ],
)
def test_labelling_interfaces(config, status):
    client = Client(MadeHost(), max_request_mb=1)
    body = {"tasks": [], "label_config": config}
    assert client.post("/label-studio/predict", json=body).status_code == status


@pytest.mark.parametrize("tasks", [None, 1, [1], {}, "x"])
def test_tasks_that_are_none(client, tasks):
    problem_of(client.post("/label-studio/predict", json={"tasks": tasks}), 400, "malformed")


def test_more_tasks_than_are_allowed():
    client = Client(MadeHost(), max_images=2)
    answer = client.post("/label-studio/predict", json={"tasks": [{}] * 3})
    problem_of(answer, 413, "too_large")
