"""The parts of serving that need no Ray."""

from __future__ import annotations

import socket

import numpy as np
import pytest

from orchestrator.config.settings import Serving
from orchestrator.serve import serve as module
from orchestrator.serve.replica import Shrunk, detect_each
from workloads.detections import Detections
from workloads.errors import ConfigError, ResourceError
from workloads.records import no_boxes


class Picky:
    """Fails on images with a pixel of 13, and tells which batches it was given."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def detect(self, images, sizes):
        self.batches.append(len(images))
        if any((image == 13).any() for image in images):
            raise RuntimeError("unlucky")
        return [
            Detections(no_boxes(), np.zeros(0, np.float32), np.zeros(0, np.int32), *size)
            for size in sizes
        ]


def images(*values: int) -> list[Shrunk]:
    return [Shrunk(np.full((2, 2, 3), v, np.uint8), (3 + i, 7)) for i, v in enumerate(values)]


def test_a_good_batch_is_one_forward_pass():
    detector = Picky()
    answers = detect_each(detector, images(1, 2, 3))
    assert [ok for ok, _ in answers] == [True] * 3
    assert [found.width for _, found in answers] == [3, 4, 5]
    assert detector.batches == [3]


def test_one_bad_image_fails_alone():
    answers = detect_each(Picky(), images(1, 13, 3))
    assert [ok for ok, _ in answers] == [True, False, True]
    assert isinstance(answers[1][1], RuntimeError)


def test_a_single_bad_image_is_tried_once():
    detector = Picky()
    assert not detect_each(detector, images(13))[0][0]
    assert detector.batches == [1]


@pytest.mark.parametrize(
    ("host", "loopback", "url"),
    [
        ("127.0.0.1", True, "http://127.0.0.1:81"),
        ("localhost", True, "http://localhost:81"),
        ("::1", True, "http://[::1]:81"),
        ("0.0.0.0", False, "http://127.0.0.1:81"),
        ("::", False, "http://[::1]:81"),
        ("10.1.2.3", False, "http://10.1.2.3:81"),
        ("gpu-box", False, "http://gpu-box:81"),
    ],
)
def test_hosts(host, loopback, url):
    assert module._is_loopback(host) is loopback
    assert module._base_url(Serving(host=host, port=81)) == url


def test_a_taken_port_names_itself_and_the_setting():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ResourceError, match=rf"127\.0\.0\.1:{port} .*serve\.port \(--port\)"):
            module._check_port(Serving(port=port))
    module._check_port(Serving(port=port))


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7"])
def test_a_host_that_is_not_here(host):
    with pytest.raises(ConfigError, match=f"serve.host.*{host}"):
        module._check_port(Serving(host=host))


def test_an_endpoint_that_never_gets_ready(monkeypatch):
    monkeypatch.setattr(module, "READY_TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
    with pytest.raises(Exception, match=r"readyz: not ready after 0\.3 s"):
        module._wait_until_ready(url)


def test_clients_see_no_path_of_the_server(tmp_path, monkeypatch):
    (tmp_path / "secret" / "cats-v2").mkdir(parents=True)
    assert module.public_name(str(tmp_path / "secret" / "cats-v2")) == "cats-v2"
    monkeypatch.chdir(tmp_path / "secret" / "cats-v2")
    assert module.public_name(".") == "cats-v2"
    assert module.public_name("cats@champion") == "cats@champion"
    assert module.public_name("cats/3") == "cats/3"
