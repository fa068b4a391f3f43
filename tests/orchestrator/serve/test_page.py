"""The page's files over HTTP: these and no others, and only if they changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest
from page_server import page_files

from orchestrator.serve.page.page import FILES, FOLDER, INDEX


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with page_files() as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client


def test_every_file_of_the_folder_is_answered_with_its_type(client):
    files = {p.relative_to(FOLDER).as_posix() for p in FOLDER.rglob("*") if p.is_file()}
    assert set(FILES) == {name for name in files if Path(name).suffix not in (".py", ".pyc")}
    for name, kind in FILES.items():
        answer = client.get("/" if name == INDEX else f"/page/{name}")
        assert answer.status_code == 200
        assert answer.content == (FOLDER / name).read_bytes()
        assert answer.headers["Content-Type"].partition(";")[0] == kind
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]


def test_an_unchanged_file_is_not_sent_again(client):
    first = client.get("/page/app.js")
    assert first.headers["Cache-Control"] == "no-cache"
    tag = first.headers["ETag"]
    again = client.get("/page/app.js", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get("/page/boxes.js", headers={"If-None-Match": tag})
    assert other.status_code == 200
    head = client.head("/")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    "path",
    ["page.py", "../page.py", "%2e%2e/page.py", "samples/../page.py", "samples/", "4.png", ""],
)
def test_nothing_else_is_answered(client, path):
    # httpx would leave dots out of the path before it asks.
    connection = HTTPConnection(client.base_url.host, client.base_url.port)
    connection.request("GET", f"/page/{path}")
    answer = connection.getresponse()
    assert answer.status == 404
    assert b"add_page" not in answer.read()
    connection.close()


def test_it_has_no_address_of_elsewhere_and_nothing_inline():
    html = (FOLDER / INDEX).read_text("utf-8")
    assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]* src=)", html)
    for name in FILES:
        if not name.endswith(".png"):
            assert "://" not in (FOLDER / name).read_text("utf-8"), name
        else:
            assert (FOLDER / name).stat().st_size <= 20_000
