"""The client over a real socket, and the verbs that use it: detect, doctor, keys."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from made_host import CLASSES, MadeHost, picture
from made_host import Client as App
from samples import free_port
from served_app import served
from typer.testing import CliRunner

from orchestrator import client as module
from orchestrator.cli.main import app
from orchestrator.client import Client, EndpointError
from orchestrator.serve.api.guard.keys import new_key, read_keys, write_keys
from workloads.errors import ClusterError, ConfigError, InputRejected, NotFound


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(App(MadeHost()).app) as address:
        yield address


@pytest.fixture(scope="module")
def keyed(tmp_path_factory) -> Iterator[tuple[str, str]]:
    """An endpoint that wants a key, and the key."""
    key, entry = new_key("Ann")
    path = tmp_path_factory.mktemp("keys") / "keys.yaml"
    write_keys(path, [entry])
    with served(App(MadeHost(), keys_file=path).app) as address:
        yield address, key


def test_the_client_needs_nothing_but_python(tmp_path):
    copy = tmp_path / "client.py"
    copy.write_text(Path(module.__file__).read_text())
    code = (
        "import sys; before = set(sys.modules); sys.path.insert(0, sys.argv[1]); import client;"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "print(sorted(new - sys.stdlib_module_names - {'client'}))"
    )
    words = [sys.executable, "-I", "-c", code, str(tmp_path)]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_an_image_as_bytes_or_as_a_file(url, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(picture())
    found = Client(url).detect(path)
    assert found.detections == Client(url + "/").detect(picture()).detections
    first = found.detections[0]
    assert (first.class_name, first.box, first.point) == ("dög", (0, 0, 30, 20), (1.5, 0.25))
    assert (found.width, found.height, found.orientation) == (30, 20, 1)
    assert [one.class_name for one in found.classes] == [*CLASSES[1:]]
    assert (found.maps, found.cutoffs, found.overlay) == ([], {}, None)
    assert found.model.version == "3"
    assert len(found.request_id) == 16
    with pytest.raises(OSError, match=r"none\.png"):
        Client(url).detect(tmp_path / "none.png")


@pytest.mark.parametrize("classes", [["dög"], ["dög", CLASSES[2]]])
def test_options(url, classes):
    options: Any = {"classes": classes, "min_score": 0.1, "cutoff": 0.3, "max_detections": 1}
    found = Client(url).detect(picture(), model="a/folder", maps=True, overlay=True, **options)
    assert found.model.name == "a/folder"
    assert [one.class_name for one in found.classes] == classes
    assert len(found.detections) == 1
    assert found.cutoffs["cutoff"] == 0.3
    assert found.overlay == picture(5, 5)
    cat, dog, _ = found.maps
    assert (cat.scales[0].height, cat.scales[0].width) == (3, 4)
    assert cat.scales[0].rows[0] == pytest.approx(
        [-1, -1 + 3 / 11, -1 + 6 / 11, -1 + 9 / 11], abs=3e-5
    )
    assert dog.scales[0].rows[-1][-1] == 3


@pytest.mark.parametrize("classes", [[], ["dög"], ["dög", CLASSES[2]]])
def test_several_images(url, classes):
    good, bad, small = Client(url).detect_batch([picture(), b"no", picture(8, 4)], classes=classes)
    assert (good.width, small.width) == (30, 8)
    assert len(good.detections) == len(classes or CLASSES[1:])
    assert isinstance(bad, EndpointError)
    assert (bad.code, bad.status) == ("unsupported_type", None)
    assert bad.request_id == good.request_id


def test_models(url):
    main, other = Client(url).models()
    assert (main.name, main.default, main.classes, main.state) == (
        "m@champion",
        True,
        CLASSES,
        "ready",
    )
    assert (other.version, other.default) == (None, False)


def test_errors(url, keyed):
    with pytest.raises(EndpointError) as caught:
        Client(url).detect(picture(), model="x")
    assert (caught.value.code, caught.value.status) == ("unknown_model", 404)
    assert "unknown model 'x'" in str(caught.value)
    address, key = keyed
    with pytest.raises(EndpointError, match="no API key"):
        Client(address).models()
    assert Client(address, key).models()
    gone = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(EndpointError, match="refused") as caught:
        Client(gone, timeout=0.3).models()
    assert caught.value.code == "unreachable"
    with pytest.raises(ValueError, match="no address"):
        Client("localhost:8000")


class Moody(http.server.BaseHTTPRequestHandler):
    """Answers the next of a list of moods, and then well."""

    moods: ClassVar[list[Any]] = []
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        mood = self.moods.pop(0) if self.moods else 200
        if mood == "leave":
            self.connection.close()
            return
        status, headers = mood if isinstance(mood, tuple) else (mood, {})
        body = b'{"models": []}' if status == 200 else b"<html>"
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def moody() -> Iterator[str]:
    Moody.moods, Moody.asked = [], 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Moody) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_errors_that_pass_are_waited_for(moody, monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    Moody.moods = [(429, {"Retry-After": "2"}), 503, "leave", (503, {"Retry-After": "soon"})]
    assert Client(moody).models() == []
    assert (Moody.asked, pauses) == (5, [2, 0.5, 1, 2])


@pytest.mark.parametrize(
    ("moods", "asked"),
    [
        ([503] * 10, 5),
        ([(503, {"Retry-After": "1000"})], 1),
        ([(302, {"Location": "/other"})], 1),
        ([500], 1),
        ([404], 1),
    ],
)
def test_what_does_not_pass_is_not_asked_again(moody, monkeypatch, moods, asked):
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    Moody.moods = [*moods]
    with pytest.raises(EndpointError) as caught:
        Client(moody).models()
    assert Moody.asked == asked
    assert caught.value.status == (moods[0][0] if isinstance(moods[0], tuple) else moods[0])


def invoke(*words: str, **environment: str) -> Any:
    return CliRunner().invoke(app, list(words), env={"WSOL_API_KEY": "", **environment})


def test_detect_asks_for_each_image_and_saves_pictures(url, tmp_path):
    for name in ("a.png", "b/a.png", "c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(picture() if name != "c.txt" else b"text")
    images = [str(tmp_path / name) for name in ("a.png", "b/a.png", "c.txt")]
    out = tmp_path / "out"
    words = ["detect", *images, "--url", url, "--save", str(out), "-o", "json", "--class", "dög"]
    done = invoke(*words)
    assert done.exit_code == 3
    assert "1 of 3 images could not be used" in done.stderr
    first, second, third = json.loads(done.stdout)
    assert [box["class"] for box in first["detections"]] == ["dög"]
    assert {**first, "image": ""} == {**second, "image": ""}
    assert third["error"]["code"] == "unsupported_type"
    assert sorted(path.name for path in out.iterdir()) == ["a-2.png", "a.png"]
    assert (out / "a.png").read_bytes() == picture(5, 5)


def test_detect_prints_a_table(url, tmp_path):
    (tmp_path / "a.png").write_bytes(picture())
    done = invoke("detect", str(tmp_path / "a.png"), "--url", url)
    assert done.exit_code == 0
    assert "0.0, 0.0, 30.0, 20.0" in done.stdout
    none = invoke("detect", str(tmp_path / "a.png"), "--url", url, "--min-score", "0.9")
    assert "nothing found" in none.stdout


def test_detect_takes_the_key_from_the_environment(keyed, tmp_path):
    address, key = keyed
    (tmp_path / "a.png").write_bytes(picture())
    words = ["detect", str(tmp_path / "a.png"), "--url", address]
    assert invoke(*words, WSOL_API_KEY=key).exit_code == 0
    assert isinstance(invoke(*words).exception, ConfigError)


def test_errors_of_detect_have_the_exit_code_of_their_kind(url, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(picture())
    cases = [
        (["--model", "x"], NotFound),
        (["--class", "x"], ConfigError),
        (["--url", "nonsense"], ConfigError),
        (["--url", f"http://127.0.0.1:{free_port()}"], ClusterError),
    ]
    module_wait = module._FIRST_WAIT_S
    module._FIRST_WAIT_S = 0.01
    try:
        for words, kind in cases:
            done = invoke("detect", str(path), "--url", url, *words)
            assert isinstance(done.exception, kind), (words, done.exception)
    finally:
        module._FIRST_WAIT_S = module_wait
    done = invoke("detect", str(tmp_path / "none.png"), "--url", url)
    assert isinstance(done.exception, InputRejected)


def doctor(*words: str) -> tuple[int, dict[str, dict[str, str]]]:
    done = invoke("doctor", "-o", "json", *words)
    checks = json.loads(done.stdout)["checks"]
    return done.exit_code, {check["name"]: check for check in checks}


def test_doctor_checks_an_endpoint(url, keyed):
    code, found = doctor("--url", url)
    assert code == 0
    assert [*found] == ["healthz", "readyz", "keys", "models", "detection", "latency"]
    assert {check["status"] for check in found.values()} == {"ok"}
    assert "m@champion (version 3) ready" in found["models"]["detail"]
    address, key = keyed
    code, found = doctor("--url", address, "--key", key)
    assert (code, found["keys"]["detail"]) == (0, "asked for")
    code, found = doctor("--url", address)
    assert (code, found["models"]["status"]) == (7, "fail")
    assert found["models"]["fix"]


def test_doctor_says_that_nothing_answers():
    code, found = doctor("--url", f"http://127.0.0.1:{free_port()}")
    assert (code, [*found]) == (7, ["healthz"])


def test_doctor_warns_of_an_open_endpoint_beyond_loopback(url, monkeypatch):
    monkeypatch.setattr("orchestrator.serve.checks._is_loopback", lambda _: False)
    _, found = doctor("--url", url)
    assert found["keys"]["status"] == "warn"
    assert "serve.keys_file" in found["keys"]["fix"]


def test_keys_are_added_listed_and_revoked(tmp_path):
    path = tmp_path / "deep" / "keys.yaml"
    file = ["--file", str(path)]
    made = json.loads(invoke("keys", "add", "Ann", "-o", "json", *file).stdout)
    invoke("keys", "add", "Bob", "--set", f"serve.keys_file={path}")
    listed = invoke("keys", "list", "-o", "json", *file).stdout
    assert made["key"] not in listed
    assert "hash" not in listed
    assert [one["name"] for one in json.loads(listed)] == ["Ann", "Bob"]
    assert invoke("keys", "revoke", made["id"], *file).exit_code == 0
    assert [entry.name for entry in read_keys(path)] == ["Bob"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert isinstance(invoke("keys", "revoke", made["id"], *file).exception, NotFound)
    assert isinstance(invoke("keys", "list", "--file", str(tmp_path / "x")).exception, NotFound)
    assert isinstance(invoke("keys", "add", "", *file).exception, ConfigError)
