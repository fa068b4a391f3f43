"""Campaigns: an endpoint on Ray whose copies are killed, and whose champion changes, under load.

`make test-long` prints the figures that stand in docs/reliability.md.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
from load import Load
from samples import free_port, make_model

from orchestrator.config.settings import Settings
from orchestrator.tracking.registry import register, set_champion

KILLS, SECONDS_BETWEEN = 8, 6.0


@contextmanager
def serving(folder: Path, *words: str) -> Iterator[tuple[str, psutil.Process]]:
    """`wsol serve` on a Ray of its own; its address and process."""
    port = free_port()
    command = [sys.executable, "-m", "orchestrator.cli", "serve", "--port", str(port), *words]
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(command, cwd=folder, stderr=said, env=os.environ)
    try:
        wait_for(lambda: "Ctrl-C" in (folder / "said").read_text() or process.poll() is not None)
        assert process.poll() is None, (folder / "said").read_text()
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def wait_for(seen: Callable[[], object], patience_s: float = 120) -> None:
    give_up = time.monotonic() + patience_s
    while not seen():
        assert time.monotonic() < give_up
        time.sleep(0.2)


def detectors(root: psutil.Process) -> list[psutil.Process]:
    """The copies that answer."""
    return [p for p in root.children(recursive=True) if ":Detector" in _title(p)]


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_no_request_is_lost_when_copies_are_killed(tmp_path: Path) -> None:
    model, rng = make_model(tmp_path / "model", seed=0), random.Random(0)
    words = ("--model", str(model), "--set", "serve.replicas=2", "--set", "cluster=local")
    with serving(tmp_path, *words) as (url, root), Load(url) as load:
        for _ in range(KILLS):
            time.sleep(SECONDS_BETWEEN)
            rng.choice(detectors(root)).kill()
        time.sleep(SECONDS_BETWEEN)
    assert set(load.codes) == {200}, load.codes
    print(f"\nendpoint: {KILLS} of 2 copies killed, none lost of {load.told()}")  # noqa: T201


def test_a_new_champion_costs_no_request(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    machine = Settings(workspace=workspace)
    versions = []
    for seed in range(3):
        folder = make_model(tmp_path / f"model-{seed}", seed=seed)
        versions.append(register(machine, folder, "cats", {}))
    set_champion(machine, "cats", versions[0].version, "champion")
    words = ("--model", "cats@champion", "--follow-champion", "--set", f"workspace={workspace}")
    words += ("--set", "serve.follow_s=1", "--set", "cluster=local", "--set", "serve.replicas=1")

    def status(url: str) -> dict[str, object]:
        answer = httpx.get(f"{url}/v1/models", trust_env=False)
        return dict(json.loads(answer.text)["models"][0])

    with serving(tmp_path, *words) as (url, _), Load(url) as load:
        time.sleep(3)
        set_champion(machine, "cats", versions[1].version, "champion")
        wait_for(lambda: status(url)["version"] == "2")
        (weights,) = Path(versions[2].source.removeprefix("file://")).glob("*.safetensors")
        weights.write_bytes(b"damaged")
        set_champion(machine, "cats", versions[2].version, "champion")
        wait_for(lambda: status(url)["refused"])
        refused = status(url)
        time.sleep(2)
    assert set(load.codes) == {200}, load.codes
    assert set(load.versions) == {"1", "2"}
    assert refused["version"] == "2"
    assert "version 3" in str(refused["refused"])
    print(f"\nendpoint: a new champion rolled out, a bad one refused: {load.told()}")  # noqa: T201
