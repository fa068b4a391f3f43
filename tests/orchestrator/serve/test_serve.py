"""The parts of serving that need no Ray."""

from __future__ import annotations

import socket

import pytest

from orchestrator.config.settings import Serving
from orchestrator.serve import serve as module
from orchestrator.serve.hosting.offers import public_name
from workloads.errors import ConfigError, ResourceError


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
    assert module.base_url(Serving(host=host, port=81)) == url


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3"])
def test_an_open_door_needs_keys(host, tmp_path):
    with pytest.raises(ConfigError, match=r"no API keys are set; make one with 'wsol keys add"):
        module.require_keys(Serving(host=host))
    module.require_keys(Serving(host=host, keys_file=tmp_path / "keys"))
    module.require_keys(Serving(host="127.0.0.1"))


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
        module._wait_until_ready(url, lambda: None)


def test_clients_see_no_path_of_the_server(tmp_path, monkeypatch):
    (tmp_path / "secret" / "cats-v2").mkdir(parents=True)
    assert public_name(str(tmp_path / "secret" / "cats-v2")) == "cats-v2"
    monkeypatch.chdir(tmp_path / "secret" / "cats-v2")
    assert public_name(".") == "cats-v2"
    assert public_name("cats@champion") == "cats@champion"
    assert public_name("cats/3") == "cats/3"
