"""Campaign: endpoints that stay on a cluster, changed, scaled and taken away under load."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from commands import wsol
from load import Load
from samples import free_port, make_model

from clusters.state import STATE_VARIABLE

PATIENCE_S = 120.0


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A Ray that stays, of its own; the address that its endpoints have."""
    port = free_port()
    settings = {
        "workspace": str(tmp_path / "workspace"),
        "cluster": "local",
        "serve": {"port": port, "replicas": [1, 2]},
    }
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.setenv("WSOL_CONFIG", str(tmp_path / "settings.yaml"))
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    assert wsol("cluster", "up", "local").code == 0
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        wsol("cluster", "down", "local")


def facts(name: str = "wsol") -> dict[str, Any]:
    return dict(wsol("deployments", name, "-o", "json").answer())


def wait_for(seen: Any, what: str) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not seen():
        assert time.monotonic() < give_up, f"not seen: {what}"
        time.sleep(0.5)


def digest_at(url: str) -> str:
    return str(httpx.get(f"{url}/v1/models", trust_env=False).json()["models"][0]["digest"])


def test_endpoints_come_change_grow_and_go_under_load(cluster: str, tmp_path: Path) -> None:
    models = [make_model(tmp_path / f"model-{seed}", seed=seed) for seed in range(2)]
    began = time.monotonic()
    assert wsol("deploy", "--model", str(models[0]), "-o", "json").answer()["state"] == "RUNNING"
    print(f"\ndeployed in {time.monotonic() - began:.0f} s")  # noqa: T201
    wait_for(lambda: httpx.get(f"{cluster}/readyz", trust_env=False).status_code == 200, "ready")
    first = digest_at(cluster)
    assert facts()["replicas"]["Detector"] == 1
    with Load(cluster) as load:
        wait_for(lambda: facts()["replicas"]["Detector"] == 2, "a second copy")
        began = time.monotonic()
        changed = wsol("deploy", "--model", str(models[1]), "-o", "json").answer()
        assert changed["model"] == str(models[1])
        wait_for(lambda: digest_at(cluster) != first, "the other model")
        print(f"changed in {time.monotonic() - began:.0f} s")  # noqa: T201
        time.sleep(5)
    print(f"deployment: {load.told()}")  # noqa: T201
    assert set(load.codes) == {200}, load.codes

    beside = wsol("deploy", "--name", "cats", "--model", str(models[0]), "-o", "json").answer()
    assert beside["route"] == "/cats"
    with httpx.Client(base_url=cluster, follow_redirects=True, trust_env=False) as client:
        page = client.get("/cats")
        assert page.status_code == 200
        assert str(page.url).endswith("/cats/")
        assert client.get("/cats/page/app.js").status_code == 200
    wait_for(lambda: digest_at(f"{cluster}/cats") == first, "the endpoint beside it")
    names = {row["name"] for row in wsol("deployments", "-o", "json").answer()}
    assert names == {"wsol", "cats"}
    assert wsol("undeploy", "cats").code == 0
    wait_for(
        lambda: httpx.get(f"{cluster}/cats/healthz", trust_env=False).status_code == 404, "gone"
    )
    assert digest_at(cluster) != first, "the other one stays as it is"
    assert wsol("undeploy", "cats").code == 4
