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
from orchestrator.serve.api.guard.keys import new_key, write_keys
from orchestrator.serve.hosting.worker import Worker
from orchestrator.serve.serve import running, serve
from workloads.errors import ConfigError, IntegrityError, NotFound, ResourceError
from workloads.images.decode import ImageLimits, decode
from workloads.models.localizer import Localizer

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("models") / "m", seed=3)


@pytest.fixture
def settings(tmp_path) -> Settings:
    return make_settings(tmp_path / "w")


def ask(url: str, data: bytes | None = None, key: str = "") -> tuple[int, dict]:
    headers = {"Content-Type": "application/octet-stream", "X-API-Key": key}
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
    assert answer["error"]["code"] == "too_large"
    assert "1048576" in answer["error"]["message"]


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


def test_it_listens_for_others_only_with_keys(settings, folder, tmp_path):
    serving = settings.serve.model_copy(update={"host": "0.0.0.0"})
    with (
        pytest.raises(ConfigError, match="no API keys are set"),
        running(settings, str(folder), serving),
    ):
        pass
    keys = tmp_path / "keys"
    key, entry = new_key("me")
    write_keys(keys, [entry])
    with running(settings, str(folder), serving.model_copy(update={"keys_file": keys})) as url:
        assert ask(f"{url}/healthz")[0] == 200
        assert ask(f"{url}/v1/models")[0] == 401
        assert ask(f"{url}/v1/models", key=key)[0] == 200


def test_it_lives_while_it_loads_and_says_why_it_cannot(settings, folder, monkeypatch):
    began, go_on = threading.Event(), threading.Event()

    def slow(*_: object) -> None:
        began.set()
        go_on.wait(20)
        raise IntegrityError("the weights are gone")

    monkeypatch.setattr(Worker, "_load", slow)
    url, seen = f"http://127.0.0.1:{settings.serve.port}", {}

    def look() -> None:
        began.wait(20)
        seen.update(healthz=ask(f"{url}/healthz")[0], readyz=ask(f"{url}/readyz")[0])
        go_on.set()

    looking = threading.Thread(target=look)
    looking.start()
    with (
        pytest.raises(IntegrityError, match="the weights are gone"),
        running(settings, str(folder), settings.serve),
    ):
        pass
    looking.join()
    assert seen == {"healthz": 200, "readyz": 503}
    assert endpoints() == []


def test_several_models_answer_and_a_bad_one_says_so(settings, folder, tmp_path):
    other = make_model(tmp_path / "other", seed=4)
    bad = make_model(tmp_path / "bad", seed=5)
    models = {"second": str(other), "third": str(bad)}
    serving = settings.serve.model_copy(update={"models": models, "max_loaded": 1})
    with running(settings, str(folder), serving) as url:
        (bad / "weights.safetensors").write_bytes(b"gone")
        data = picture(5)
        answers = [ask(f"{url}/v1/detect?model={name}", data) for name in ("m", "second", "m")]
        assert [(code, one["model"]["name"]) for code, one in answers] == [
            (200, "m"), (200, "second"), (200, "m"),
        ]  # fmt: skip
        assert answers[0][1]["detections"] == answers[2][1]["detections"]
        assert answers[0][1]["detections"] != answers[1][1]["detections"]
        code, refused = ask(f"{url}/v1/detect?model=fourth", data)
        assert (code, refused["error"]["code"]) == (404, "unknown_model")
        assert "allowed: m, second, third" in refused["error"]["message"]
        assert ask(f"{url}/v1/detect?model=third", data)[0] == 503
        assert ask(f"{url}/v1/detect", data)[0] == 200


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
    assert f"wsol: serving {folder} at {url} (a page; {url}/v1/detect for programs" in said
