"""A campaign of minutes: the endpoint beside the same model on FastAPI and on LitServe."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from orchestrator.benchmarks.until import until
from workloads.benchmarks.extent import Extent
from workloads.benchmarks.plain_annotation import LARGE, RUNS, SMALL, make_images, make_model
from workloads.errors import ConfigError

CPUS = 2  # of each way
OURS = ("ray", "inline")
WAYS = (*OURS, "fastapi", "litserve")
SHARES = (0.5, 0.8, 1.5)  # rates, as shares of the best closed loop
_START_S = 180.0


Measure = Callable[[float, float], dict[str, Any]]
"""From a rate and seconds to figures of `open_loop`."""


class Times(NamedTuple):
    """Seconds of each measurement, and how often the ways take turns."""

    seconds: float
    rounds: int


TIMES: dict[str, dict[Extent, Times]] = {
    SMALL: {"quick": Times(4, 1), "usual": Times(10, 2), "full": Times(20, 3)},
    LARGE: {"quick": Times(0, 0), "usual": Times(20, 1), "full": Times(40, 3)},
}


def compare_serving(extent: Extent = "usual") -> dict[str, object]:
    """Answers per second at saturation over those of the better of FastAPI with uvicorn and
    LitServe, and the times of answers at rising rates.

    CAM in one copy with two threads on Ray Serve ("ray"), in one process with two threads
    ("inline", cluster=inline), and in two processes of each of the others; JPEG images of 400x350
    pixels, a client process on the same machine. All have the network, the decoder and the box
    rule of this project, ours with packed weights; the others do nothing else with a request, and
    LitServe is sent JSON. Saturation: eight clients that ask one question after the other. Then
    open loops at 0.5, 0.8 and 1.5 of the best of these figures.

    Returns:
        `ratio`, the least of the networks' with Ray; for each network its ratios, and for each way
        answers per second, p50 and p99 in ms, and refusals (503), by rate.

    Raises:
        ConfigError: LitServe is not installed.
    """
    if importlib.util.find_spec("litserve") is None:
        raise ConfigError("bench serve: LitServe is not installed; run pip install litserve")
    found: dict[str, object] = {}
    ratios = []
    with tempfile.TemporaryDirectory(prefix="wsol-bench-") as scratch:
        for name, times in TIMES.items():
            if times[extent].rounds:
                facts = _measure(Path(scratch) / name, name, times[extent])
                ratios.append(facts["ratio"])
                found |= {f"{name}_{fact}": value for fact, value in facts.items()}
    return {"name": "serve", "ratio": min(ratios), **found}


def _measure(folder: Path, network: str, times: Times) -> dict[str, Any]:
    make_images(folder / "images", 50)
    model = make_model(folder / "model", network, RUNS[network].side)
    closed: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    opened: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for number in range(times.rounds):
        for way in WAYS[number % len(WAYS) :] + WAYS[: number % len(WAYS)]:
            with _endpoint(way, model, folder) as load:
                closed[way].append(load(0.0, times.seconds))
        rate = max(_median(closed[way], "per_s") for way in WAYS)
        for way in WAYS:
            with _endpoint(way, model, folder) as load:
                for share in SHARES:
                    told = load(share * rate, times.seconds)
                    opened.setdefault((way, share), []).append(told)
    others = max(_median(closed[way], "per_s") for way in WAYS if way not in OURS)
    ratios = {way: _median(closed[way], "per_s") / others for way in OURS}
    facts: dict[str, Any] = {"ratio": ratios["ray"], "inline_ratio": ratios["inline"]}
    for way in WAYS:
        facts[f"{way}_per_s"] = round(_median(closed[way], "per_s"), 2)
        facts[f"{way}_p99_ms"] = round(_median(closed[way], "p99_ms"), 1)
        for share in SHARES:
            rows = opened[way, share]
            facts[f"{way}_at_{share}"] = {
                name: round(_median(rows, name), 1)
                for name in ("per_s", "p50_ms", "p99_ms", "refused", "failed")
            }
    return facts


def _median(rows: list[dict[str, Any]], name: str) -> float:
    values = sorted(float(row[name]) for row in rows)
    return values[len(values) // 2]


@contextmanager
def _endpoint(way: str, model: Path, folder: Path) -> Iterator[Measure]:
    """Load on a way's endpoint, which is warm; all of its processes end with the block."""
    port = _free_port()
    if way in OURS:
        words = ["-m", "orchestrator.cli", "serve", "--model", str(model), "--port", str(port)]
        size = {
            "ray": ("cluster=local", f"serve.cpus_per_replica={CPUS}"),
            "inline": ("cluster=inline", f"serve.cpus_per_replica={CPUS}"),
        }[way]
        words += [word for one in size for word in ("--set", one)]
        words += ["--set", f"workspace={folder / 'workspace'}"]
    else:
        words = ["-m", f"orchestrator.benchmarks.plain_{way}", str(model)]
        words += [str(port), str(CPUS)]
    log = folder / f"{way}.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, *words], stdout=said, stderr=said, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}/v1/detect"
        load = partial(_load, url, folder / "images", "json" if way == "litserve" else "raw")
        until(lambda: load(0.0, 0.5)["per_s"] > 0, _START_S)
        load(0.0, 3.0)  # warms up
        yield load
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(psutil.NoSuchProcess):
        below = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        psutil.wait_procs([psutil.Process(process.pid)], timeout=20)
        for one in below:
            with suppress(psutil.NoSuchProcess):
                one.kill()
    process.kill()
    process.wait()


def _load(url: str, images: Path, form: str, rate: float, seconds: float) -> dict[str, Any]:
    words = ["-m", "orchestrator.benchmarks.open_loop", url, str(images)]
    words += [str(rate), str(seconds), form]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
