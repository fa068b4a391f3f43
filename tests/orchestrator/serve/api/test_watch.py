"""Metrics and the access log say what happened, and nothing secret."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from made_host import Client, MadeHost, picture
from prometheus_client.parser import text_string_to_metric_families

import orchestrator.serve
from orchestrator.serve.api.guard.keys import new_key, write_keys
from orchestrator.serve.api.watch.access_log import AccessLog
from orchestrator.serve.api.watch.trace import Trace

DASHBOARD = Path(orchestrator.serve.__file__).parent / "grafana.json"


@pytest.fixture
def host() -> MadeHost:
    return MadeHost()


def samples(client: Client) -> dict[tuple, float]:
    """Values by name and labels, through Prometheus's own parser."""
    text = client.get("/metrics").text
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: dict[tuple, float], series: str, /, **labels: str) -> float:
    return sum(
        number
        for (its_name, *its_labels), number in found.items()
        if its_name == series and set(labels.items()) <= set(its_labels)
    )


def test_requests_are_counted_by_route_status_and_model(host):
    client = Client(host)
    for content in (picture(), picture(), b"GIF89a"):
        client.detect(content)
    client.get("/some/path/nobody/has")
    client.request("BREW", "/v1/detect")
    found = samples(client)
    named = {"route": "/v1/detect", "model": "m@champion", "version": "3"}
    assert value(found, "wsol_requests_total", status="200", **named) == 2
    assert value(found, "wsol_requests_total", status="415", model="") == 1
    assert value(found, "wsol_requests_total", status="404", route="other") == 1
    assert value(found, "wsol_requests_total", status="405", method="other") == 1
    assert value(found, "wsol_rejected_total", reason="unsupported_type") == 1
    for phase in ("read", "queue", "decode", "forward", "boxes", "total"):
        assert value(found, "wsol_request_seconds_count", phase=phase, model="m@champion") == 2
    assert value(found, "wsol_request_seconds_sum", phase="boxes") == pytest.approx(0.004)
    assert value(found, "wsol_requests_in_flight") == 1  # that which asks for the metrics
    assert value(found, "wsol_requests_in_work") == value(found, "wsol_held_bytes") == 0
    assert value(found, "wsol_model_info", name="a/folder", state="ready") == 1
    assert value(found, "wsol_ready") == 1
    assert value(found, "process_resident_memory_bytes") > 0


def test_strangers_cannot_make_up_series(host):
    client = Client(host)
    client.detect(picture())
    client.get("/metrics")
    client.get("/x0")
    before = set(samples(client))
    for i in range(20):
        client.get(f"/x{i}")
        client.detect(picture(), model=f"m{i}")
        client.request(f"M{i}", "/v1/detect")
    new = set(samples(client)) - before
    assert len(new) <= 10, new


def test_every_metric_of_the_dashboard_is_there(host):
    client = Client(host)
    client.detect(picture())
    client.detect(b"x")
    there = {name for name, *_ in samples(client)}
    panels = json.loads(DASHBOARD.read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    used = {name for query in queries for name in re.findall(r"\b(?:wsol|process)_\w+", query)}
    assert used <= there
    assert {"wsol_requests_total", "wsol_request_seconds_bucket", "wsol_rejected_total"} <= used


def lines_of(client: Client, path: Path) -> list[dict]:
    """The access log after the application has ended."""

    async def end() -> None:
        async with client.app.router.lifespan_context(client.app):
            pass

    import asyncio

    asyncio.run(end())
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_for_each_request_without_secrets(host, tmp_path):
    key, entry = new_key("Ann")
    write_keys(tmp_path / "keys", [entry])
    log = tmp_path / "access.jsonl"
    client = Client(host, keys_file=tmp_path / "keys", access_log=str(log))
    headers = {"x-api-key": key, "Content-Type": "image/png", "X-Request-Id": "mine"}
    client.post("/v1/detect", content=picture(), headers=headers, params={"classes": "dög"})
    client.get("/v1/models", params={"secret": "value"})
    good, bad = lines_of(client, log)
    assert good.pop("time").endswith("+00:00")
    assert 0 < good.pop("ms") < 10_000
    assert good == {
        "request_id": "mine",
        "client": "127.0.0.1",
        "method": "POST",
        "route": "/v1/detect",
        "status": 200,
        "code": None,
        "bytes_in": len(picture()),
        "model": "m@champion",
        "version": "3",
        "key": entry.id,
    }
    assert (bad["status"], bad["code"], bad["key"]) == (401, "unauthorized", None)
    text = log.read_text()
    assert key not in text
    assert entry.hash not in text
    assert "secret" not in text
    assert "classes" not in text


def test_the_log_may_be_moved_away_and_starts_anew(tmp_path):
    path = tmp_path / "log"
    for name in ("a", "b"):
        log = AccessLog(str(path))
        log.write(Trace(name, "GET", ""), "/")
        log.close()
        path.rename(tmp_path / name)
    assert json.loads((tmp_path / "b").read_text())["request_id"] == "b"


def test_a_log_that_cannot_be_written_stops_no_request(host, tmp_path, caplog):
    client = Client(host, access_log=str(tmp_path / "none" / "log"))
    assert client.detect(picture()).status_code == 200
    (tmp_path / "none").mkdir()
    assert client.detect(picture()).status_code == 200
    lines_of(client, tmp_path / "none" / "log")


def test_standard_error_takes_lines_too(host, capsys):
    log = AccessLog("-")
    log.write(Trace("a", "GET", ""), "/")
    log.close()
    assert json.loads(capsys.readouterr().err)["request_id"] == "a"
