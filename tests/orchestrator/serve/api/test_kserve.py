"""KServe's protocol, asked by Triton's own client over HTTP."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from importlib.metadata import version

import numpy as np
import orjson
import pytest
import tritonclient.http as triton
from made_host import Client, MadeHost, picture, problem_of
from served_app import served
from tritonclient.utils import InferenceServerException

MODEL = "m@champion"
INFER = f"/v2/models/{MODEL}/infer"


@pytest.fixture(scope="module")
def remote() -> Iterator[triton.InferenceServerClient]:
    with served(Client(MadeHost()).app) as url:
        client = triton.InferenceServerClient(url.removeprefix("http://"))
        yield client
        client.close()


@pytest.fixture
def client() -> Client:
    return Client(MadeHost())


def inputs(*images: bytes, binary: bool = True) -> list[triton.InferInput]:
    one = triton.InferInput("image", [len(images)], "BYTES")
    data = images if binary else [base64.b64encode(image) for image in images]
    one.set_data_from_numpy(np.asarray(data, dtype=np.object_), binary_data=binary)
    return [one]


def test_health_and_metadata(remote):
    assert remote.is_server_live()
    assert remote.is_server_ready()
    assert remote.is_model_ready(MODEL)
    assert remote.is_model_ready(MODEL, "3")
    assert not remote.is_model_ready("nobody")
    about = remote.get_server_metadata()
    assert (about["name"], about["version"]) == ("wsol", version("wsol"))
    model = remote.get_model_metadata(MODEL)
    assert model["versions"] == ["3"]
    assert model["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
    assert [one["name"] for one in model["outputs"]] == ["labels", "scores", "boxes", "image"]
    assert remote.get_model_metadata("a/folder")["versions"] == []


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("number", ["", "3"])
def test_images_in_boxes_out(remote, binary_in, binary_out, number):
    names = ("labels", "scores", "boxes", "image")
    outputs = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in names]
    images = inputs(picture(30, 20), picture(8, 4), binary=binary_in)
    found = remote.infer(MODEL, images, number, outputs=outputs, request_id="r1")
    answer = found.get_response()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == (MODEL, "3", "r1")
    labels, scores, boxes, image = (found.as_numpy(name) for name in names)
    assert (labels.dtype, labels.tolist()) == (np.int32, [1, 2, 1, 2])
    assert scores.tolist() == np.asarray([0.7, 0.6] * 2, np.float32).tolist()
    assert boxes.dtype == np.float32
    assert boxes[[0, 2]].tolist() == [[0, 0, 30, 20], [0, 0, 8, 4]]
    assert image.tolist() == [0, 0, 1, 1]


def test_parameters_are_options(remote):
    found = remote.infer(MODEL, inputs(picture()), parameters={"min_score": 0.65})
    assert found.as_numpy("labels").tolist() == [1]
    nothing = remote.infer(MODEL, inputs(picture()), parameters={"min_score": 0.9})
    assert nothing.as_numpy("boxes").shape == (0, 4)
    with pytest.raises(InferenceServerException, match="min_scor"):
        remote.infer(MODEL, inputs(picture()), parameters={"min_scor": 0.9})


def test_errors_reach_the_client(remote):
    with pytest.raises(InferenceServerException, match="not an image"):
        remote.infer(MODEL, inputs(picture(), b"GIF89a nonsense"))
    with pytest.raises(InferenceServerException, match="unknown model 'nobody'"):
        remote.infer("nobody", inputs(picture()))
    with pytest.raises(InferenceServerException, match="not served as version '4'"):
        remote.infer(MODEL, inputs(picture()), "4")
    with pytest.raises(InferenceServerException, match="gzip"):
        remote.infer(MODEL, inputs(picture()), request_compression_algorithm="gzip")


def tensor(**changes: object) -> dict:
    data = [base64.b64encode(picture()).decode()]
    return {"name": "image", "shape": [1], "datatype": "BYTES", "data": data, **changes}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"inputs": []},
        {"inputs": [1]},
        {"inputs": [tensor(), tensor()]},
        {"inputs": [tensor(name="x")]},
        {"inputs": [tensor(datatype="FP32")]},
        {"inputs": [tensor(shape=[2])]},
        {"inputs": [tensor(shape="x" * 5000)]},
        {"inputs": [tensor(data=[])]},
        {"inputs": [tensor(data="text")]},
        {"inputs": [tensor(data=["no base64!"])]},
        {"inputs": [tensor(data=None)]},
        {"inputs": [tensor(parameters=[])]},
        {"inputs": [tensor(parameters={"binary_data_size": 7})]},
        {"inputs": [tensor()], "parameters": {"x": 1}},
        {"inputs": [tensor()], "parameters": 7},
        {"inputs": [tensor()], "outputs": [{"name": "x"}]},
        {"inputs": [tensor()], "outputs": [{"name": ["labels"]}]},
        {"inputs": [tensor()], "outputs": [{}]},
        {"inputs": [tensor()], "outputs": {}},
    ],
)
def test_json_that_is_malformed(client, body):
    problem_of(client.post(INFER, json=body), 400, "malformed")


def binary(length: object, *elements: bytes, size: int | None = None, tail: bytes = b"") -> dict:
    data = b"".join(struct.pack("<I", len(one)) + one for one in elements) + tail
    parameters = {"binary_data_size": len(data) if size is None else size}
    one = {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": parameters}
    head = orjson.dumps({"inputs": [one]})
    given = str(len(head) if length is None else length)
    return {"content": head + data, "headers": {"Inference-Header-Content-Length": given}}


@pytest.mark.parametrize(
    "request_",
    [
        binary(10**9, picture()),
        binary(-1, picture()),
        binary("x", picture()),
        binary(3, picture()),
        binary(None, picture(), size=5),
        binary(None, tail=b"\xff\xff\xff\xffabc"),
        binary(None, tail=b"\x01"),
        binary(None, picture(), picture()),
    ],
)
def test_binary_data_that_is_malformed(client, request_):
    request_["headers"]["Content-Type"] = "application/octet-stream"
    problem_of(client.post(INFER, **request_), 400, "malformed")


def test_more_images_than_are_allowed():
    client = Client(MadeHost(), max_images=1)
    body = {"inputs": [tensor(shape=[2], data=tensor()["data"] * 2)]}
    problem_of(client.post(INFER, json=body), 413, "too_large")
