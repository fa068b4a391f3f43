"""`/v1/detect` in this process, with a made-up model behind it: no Ray, no network."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_host import CLASSES, MAIN, Client, MadeHost, picture, problem_of
from PIL import Image

from orchestrator.serve.api.answers import quantized
from orchestrator.serve.api.host import Ask
from orchestrator.serve.api.shapes import DetectAnswer
from workloads.errors import ClusterError, IntegrityError, Overloaded, ResourceError

MAX_BODY = 50_000


@pytest.fixture
def host() -> MadeHost:
    return MadeHost()


@pytest.fixture
def client(host) -> Client:
    return Client(host)


def without_time(response) -> dict:
    assert response.status_code == 200, response.text
    found = response.json()
    assert response.headers["x-request-id"] == found.pop("request_id")
    assert set(found.pop("timings_ms")) == {"read", "queue", "decode", "forward", "boxes", "total"}
    return found


def f32(*values: float) -> list[float]:
    return [float(np.float32(value)) for value in values]


@pytest.mark.parametrize("kind", ["application/octet-stream", "image/png", "Image/JPEG; q=1"])
def test_a_raw_image(client, kind):
    dog, cow = f32(0.7, 0.6)
    assert without_time(client.detect(picture(), kind)) == {
        "model": MAIN.model_dump(),
        "width": 30,
        "height": 20,
        "orientation": 1,
        "detections": [
            {
                "label": 1,
                "class": "dög",
                "score": dog,
                "class_score": dog,
                "box": [0.0, 0.0, 30.0, 20.0],
                "point": [1.5, 0.25],
            },
            {
                "label": 2,
                "class": "c'ow, brown",
                "score": cow,
                "class_score": cow,
                "box": f32(0.1, 1 / 3, 0.9, 0.8),
                "point": [2.5, 0.25],
            },
        ],
        "classes": [
            {"label": 1, "class": "dög", "score": dog, "point": [1.5, 0.25]},
            {"label": 2, "class": "c'ow, brown", "score": cow, "point": [2.5, 0.25]},
        ],
        "maps": None,
        "overlay": None,
    }


@pytest.mark.parametrize("field", ["file", "image", "ä"])
def test_a_form_with_one_file(client, field):
    form = client.post("/v1/detect", files={field: ("a.png", picture(), "image/png")})
    assert without_time(form) == without_time(client.detect(picture()))


@pytest.mark.parametrize("head", ["", "data:image/png;base64,"])
def test_base64_in_json(client, head):
    text = head + base64.b64encode(picture()).decode()
    found = client.post("/v1/detect", json={"image": text})
    assert without_time(found) == without_time(client.detect(picture()))


OPTIONS = {"model": "a/folder", "min_score": 0.1, "cutoff": 0.4, "max_detections": 1}
ASKED = Ask(min_score=0.1, cutoff=0.4, classes=("cat", "dög"), max_detections=1, maps=True)


def test_options_mean_the_same_wherever_they_stand(client, host):
    lists = {"classes": "cat,dög", "return": "map,boxes"}
    query = client.detect(picture(), **OPTIONS, **lists)
    files = {"f": ("a.png", picture(), "image/png")}
    form = client.post("/v1/detect", files=files, data={**OPTIONS, **lists})
    text = base64.b64encode(picture()).decode()
    both = {"classes": ["cat", "dög"], "return": ["map", "boxes"]}
    json = client.post("/v1/detect", json={"image": text, **OPTIONS, **both})
    repeated = client.detect(picture(), **OPTIONS, **both)
    answers = [without_time(one) for one in (query, form, json, repeated)]
    assert host.asked == [("a/folder", ASKED)] * 4
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["model"]["name"] == "a/folder"
    assert [box["class"] for box in answers[0]["detections"]] == ["dög"]
    assert [one["class"] for one in answers[0]["classes"]] == ["cat", "dög"]


def test_a_name_with_a_comma_is_given_in_a_list(client):
    text = base64.b64encode(picture()).decode()
    found = client.post("/v1/detect", json={"image": text, "classes": [CLASSES[2]]}).json()
    assert [one["class"] for one in found["classes"]] == [CLASSES[2]]
    problem_of(client.detect(picture(), classes=CLASSES[2]), 422, "invalid")


def test_parts_that_are_not_asked_for_are_not_there(client):
    bare = client.detect(picture(), **{"return": "overlay"}).json()
    assert set(bare["detections"][0]) == {"label", "class", "score", "class_score"}
    assert set(bare["classes"][0]) == {"label", "class", "score"}
    assert bare["maps"] is None
    png = base64.b64decode(bare["overlay"].removeprefix("data:image/png;base64,"))
    assert Image.open(io.BytesIO(png)).size == (5, 5)


def test_maps_are_of_all_classes_and_can_be_read_again(client):
    found = client.detect(picture(), cutoff=0.1, **{"return": "map,points"}).json()
    maps = found["maps"]
    assert maps["cutoffs"]["cutoff"] == 0.1
    assert maps["min_score"] == 0.5
    assert [one["class"] for one in maps["classes"]] == list(CLASSES)
    assert maps["classes"][0]["point"] == [0.5, 0.25]
    scale = maps["classes"][1]["scales"][0]
    assert (scale["height"], scale["width"], scale["low"], scale["high"]) == (3, 4, 0, 3)
    steps = np.frombuffer(base64.b64decode(scale["values"]), "<u2").reshape(3, 4)
    assert steps.tolist()[0] == [0, 5958, 11915, 17873]  # 65535 k / 11, rounded
    flat = maps["classes"][0]["scales"][1]
    assert (flat["low"], flat["high"]) == (0, 0)
    DetectAnswer.model_validate(found)


@settings(max_examples=50)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20))
def test_a_map_in_16_bits_is_right_to_half_a_step(values):
    given_map = np.asarray([values], np.float32)
    scale = quantized(given_map)
    steps = np.frombuffer(base64.b64decode(scale.values), "<u2").astype(np.float64)
    again = scale.low + steps * (scale.high - scale.low) / 65535
    half = (scale.high - scale.low) / 65535 / 2
    assert np.abs(again - given_map[0]).max() <= half * (1 + 1e-9)


def test_a_photograph_on_its_side_is_turned(client):
    exif = Image.Exif()
    exif[0x0112] = 6
    found = client.detect(picture(30, 20, "JPEG", exif=exif.tobytes())).json()
    assert (found["width"], found["height"], found["orientation"]) == (20, 30, 6)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_score", "-1"),
        ("min_score", "nan"),
        ("min_score", "inf"),
        ("min_score", "many"),
        ("min_score", ""),
        ("cutoff", "1"),
        ("cutoff", "-0.1"),
        ("max_detections", "0"),
        ("max_detections", "1.5"),
        ("max_detections", "9" * 5000),
        ("return", "box"),
        ("return", ""),
        ("classes", "cat,,dog"),
        ("model", ""),
        ("model", "x" * 501),
    ],
)
def test_a_wrong_option(client, host, name, value):
    problem = problem_of(client.detect(picture(), **{name: value}), 422, "invalid")
    assert problem["message"].startswith(name)
    assert host.asked == []


def test_an_option_is_given_once(client):
    problem = problem_of(client.detect(picture(), min_score=["0.1", "0.2"]), 422, "invalid")
    assert "'min_score' is given twice" in problem["message"]
    files = {"f": ("a.png", picture(), "image/png")}
    both = client.post("/v1/detect", files=files, data={"cutoff": "0.1"}, params={"cutoff": "0.1"})
    problem_of(both, 422, "invalid")


def test_a_misspelt_option_is_refused(client):
    problem = problem_of(client.detect(picture(), min_scores=0.9), 422, "invalid")
    assert "unknown option 'min_scores'; did you mean 'min_score'" in problem["message"]


def test_unknown_models_and_classes(client):
    problem = problem_of(client.detect(picture(), model="m"), 404, "unknown_model")
    assert "unknown model 'm'" in problem["message"]
    problem = problem_of(client.detect(picture(), classes="cow"), 422, "invalid")
    assert "unknown class 'cow'" in problem["message"]


@pytest.mark.parametrize("kind", ["", "text/plain", "application/xml", "application/x-image"])
def test_a_wrong_content_type(client, kind):
    problem = problem_of(client.detect(picture(), kind), 415, "unsupported_type")
    assert f"'{kind}'" in problem["message"]
    assert "application/octet-stream" in problem["hint"]


def test_a_compressed_body_is_refused(client):
    headers = {"Content-Type": "image/png", "Content-Encoding": "gzip"}
    answer = client.post("/v1/detect", content=picture(), headers=headers)
    assert "'gzip'" in problem_of(answer, 415, "unsupported_type")["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b"{",
        b"\xff",
        b'{"image": NaN}',
        b'{"image": 1}',
        b'{"image": "a"}',
        b'{"image": "YWJj\\n"}',
        '{"image": "ä"}'.encode(),
        b'{"image": "data:image/png,abc"}',
        b'{"image": "", "url": "http://a"}',
        b'{"url": 7}',
        b"[" * 5000,
        b'{"a":' * 2000,
    ],
)
def test_json_that_is_malformed(client, host, body):
    problem_of(client.detect(body, "application/json"), 400, "malformed")
    assert host.asked == []


def test_json_of_many_small_values_is_not_even_parsed(host):
    client = Client(host, max_request_mb=1)
    body = b'{"image": [' + b"{}," * 100_001 + b"{}]}"
    assert "100000 values" in problem_of(client.detect(body, "application/json"), 413)["message"]


def test_a_form_with_two_files(client):
    files = [("a", ("a.png", picture())), ("b", ("b.png", picture()))]
    problem = problem_of(client.post("/v1/detect", files=files), 400, "malformed")
    assert "Too many files" in problem["message"]
    assert "exactly one file" in problem["hint"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"--x--\r\n"),
        ("multipart/form-data; boundary=x", b"nonsense"),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=" + "x" * 300, b"--x--\r\n"),
        ("multipart/form-data; boundary=x; charset=nonsense", b"--x--\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\ntext\r\n--x--\r\n',
        ),
        ("multipart/form-data; boundary=x", b"--x\r\nNo: disposition\r\n\r\ntext\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"A: b\r\n" * 1000 + b"\r\nt\r\n--x--"),
        ("multipart/form-data; boundary=x", b"--x\r\nA: " + b"b" * 9000 + b"\r\n\r\nt\r\n--x--"),
    ],
)
def test_a_form_without_a_file(client, kind, body):
    assert "exactly one file" in problem_of(client.detect(body, kind), 400, "malformed")["hint"]


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
    assert word in problem_of(client.detect(data), status)["message"]


@pytest.mark.parametrize(
    ("error", "status", "code", "text"),
    [
        (Overloaded("busy; ask later"), 503, "overloaded", "busy"),
        (ClusterError("gone; start it"), 503, "overloaded", "gone"),
        (ResourceError("disk full; free some"), 503, "overloaded", "disk full"),
        (IntegrityError("weights changed"), 500, "internal", "weights changed"),
        (RuntimeError("secret\npath"), 500, "internal", "internal error (RuntimeError)"),
    ],
)
def test_errors_of_the_model(client, host, error, status, code, text):
    host.error = error
    answer = client.detect(picture())
    problem = problem_of(answer, status, code)
    assert problem["message"] == text
    assert "secret" not in answer.text
    assert ("retry-after" in answer.headers) == (status == 503)


def test_an_image_without_detections_is_an_answer(client):
    found = client.detect(picture(7, 5), min_score=0.9).json()
    assert (found["detections"], found["classes"], found["width"]) == ([], [], 7)
