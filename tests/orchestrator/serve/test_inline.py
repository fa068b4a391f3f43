"""A model served by this process: its answers over a socket, and an end that leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from samples import CLASSES, free_port, make_model, make_settings, picture

from orchestrator.config.settings import Settings
from orchestrator.serve.serve import running, serve
from workloads.errors import NotFound, ResourceError
from workloads.images.decode import ImageLimits, decode
from workloads.models.localizer import Localizer

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("models") / "m", seed=3)


@pytest.fixture
def settings(tmp_path) -> Settings:
    return make_settings(tmp_path / "w")


def ask(url: str, data: bytes | None = None) -> tuple[int, dict]:
    headers = {"Content-Type": "application/octet-stream"}
    try:
        with OPENER.open(urllib.request.Request(url, data, headers), timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def endpoints() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "endpoint"]


def test_an_image_over_the_socket_is_answered_as_the_localizer_does(settings, folder):
    data = picture(5)
    (expected,) = Localizer.load(folder).detect([decode(data, ImageLimits())])
    with running(settings, str(folder), settings.serve) as url:
        assert url == f"http://127.0.0.1:{settings.serve.port}"
        status, answer = ask(f"{url}/v1/detect", data)
        refused = ask(f"{url}/v1/detect", b"no image")
    assert status == 200
    assert answer["model"]["name"] == folder.name  # not where it lies
    assert (answer["width"], answer["height"]) == (expected.width, expected.height)
    found = answer["detections"]
    assert [d["class"] for d in found] == [CLASSES[label] for label in expected.labels]
    assert np.array_equal([d["score"] for d in found], expected.scores)
    assert np.array_equal([d["box"] for d in found], expected.boxes_xyxy)
    assert refused[0] == 415


def test_a_body_over_the_settings_limit_is_refused(settings, folder):
    with running(settings, str(folder), settings.serve) as url:
        status, answer = ask(f"{url}/v1/detect", b"x" * (2**20 + 1))
    assert status == 413
    assert answer["error"] == (
        "the body is over 1048576 bytes, the limit of serve.max_request_mb; send a smaller image"
    )


def test_the_end_of_the_block_frees_the_port_and_the_thread(settings, folder):
    with running(settings, str(folder), settings.serve):
        assert len(endpoints()) == 1
    assert endpoints() == []
    with pytest.raises(KeyError), running(settings, str(folder), settings.serve):
        raise KeyError("the block failed")
    assert endpoints() == []
    with socket.create_server(("127.0.0.1", settings.serve.port)):
        pass


def test_a_model_that_is_missing_is_said_before_anything_starts(settings, tmp_path):
    with pytest.raises(NotFound) as caught, running(settings, "./none", settings.serve):
        pass
    assert "none" in str(caught.value)
    assert endpoints() == []


def test_a_taken_port_is_said_before_anything_starts(settings, folder):
    with (
        socket.create_server(("127.0.0.1", settings.serve.port)),
        pytest.raises(ResourceError, match=r"choose another serve\.port"),
        running(settings, str(folder), settings.serve),
    ):
        pass
    assert endpoints() == []


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_an_open_door_is_warned_of_once(settings, folder, capsys, host, warned):
    serving = settings.serve.model_copy(update={"host": host})
    with running(settings, str(folder), serving) as url:
        assert ask(f"{url}/healthz") == (200, {"status": "ok"})
    lines = capsys.readouterr().err.splitlines()
    said = [line for line in lines if "can be reached from other machines" in line]
    assert len(said) == warned
    assert all(line.startswith("wsol: warning: 0.0.0.0 ") for line in said)


def test_sigterm_ends_serving_in_peace(settings, folder, capsys):
    before = signal.getsignal(signal.SIGTERM)
    serving = settings.serve.model_copy(update={"port": free_port()})
    asked: list[tuple[int, dict]] = []

    def end() -> None:
        # earlier, the signal would be that of a verb which is still starting
        while getattr(signal.getsignal(signal.SIGTERM), "__module__", "") != serve.__module__:
            time.sleep(0.01)
        asked.append(ask(f"http://127.0.0.1:{serving.port}/readyz"))
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=end, daemon=True)
    thread.start()
    serve(settings, str(folder), serving)
    thread.join()
    assert asked == [(200, {"status": "ready"})]
    assert signal.getsignal(signal.SIGTERM) is before
    said = capsys.readouterr().err
    url = f"http://127.0.0.1:{serving.port}"
    assert f"wsol: serving {folder} at {url}/v1/detect (description: {url}/openapi.json)\n" in said
