"""An application below a path of its host (`wsol deploy --name cats`) is the same one."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from made_host import Client, MadeHost, picture, problem_of

from orchestrator.serve.api.guard.keys import new_key, write_keys
from orchestrator.serve.api.paths import own_path

PLACE = "/cats"


@pytest.fixture
def client(tmp_path: Path) -> Client:
    key, entry = new_key("Ann")
    write_keys(tmp_path / "keys", [entry])
    client = Client(MadeHost(), keys_file=tmp_path / "keys")
    client.transport = httpx.ASGITransport(client.app, raise_app_exceptions=False, root_path=PLACE)
    client.key = {"X-API-Key": key}
    return client


def test_its_place_leads_to_its_page(client):
    moved = client.get(PLACE)
    assert (moved.status_code, moved.headers["location"]) == (307, f"{PLACE}/")
    assert "<main" in client.get(f"{PLACE}/").text


@pytest.mark.parametrize("page", ["/", "/docs"])
def test_what_a_page_leads_to_is_there(client, page):
    at = httpx.URL(f"http://t{PLACE}{page}")
    links = re.findall(r'(?:src|href)="([^"#]+)"', client.get(at.path, headers=client.key).text)
    links = [link for link in links if not link.startswith("data:")]
    assert links
    for link in links:
        answer = client.get(at.join(link).path, headers=client.key)
        assert answer.status_code == 200, link


def test_probes_need_no_key_and_all_else_does(client):
    assert client.get(f"{PLACE}/healthz").status_code == 200
    assert client.get(f"{PLACE}/page/app.js").status_code == 200
    problem_of(client.get(f"{PLACE}/v1/models"), 401, "unauthorized")


def test_it_answers(client):
    headers = {"Content-Type": "image/png", **client.key}
    answer = client.post(f"{PLACE}/v1/detect", content=picture(), headers=headers)
    assert answer.status_code == 200
    problem_of(client.get(f"{PLACE}/nothing", headers=client.key), 404, "not_found")
    unknown = client.get(f"{PLACE}/v2/models/nothing", headers=client.key)
    assert isinstance(unknown.json()["error"], str), "as KServe's clients read it"


@pytest.mark.parametrize(
    ("path", "place", "own"),
    [
        ("/a", "", "/a"),
        ("/", "", "/"),
        ("/cats/a", "/cats", "/a"),
        ("/cats", "/cats", ""),
        ("/cats/", "/cats", "/"),
        ("/catsuit", "/cats", "/catsuit"),
        ("/a", "/cats", "/a"),
    ],
)
def test_own_path(path, place, own):
    assert own_path({"type": "http", "path": path, "root_path": place}) == own
