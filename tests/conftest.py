"""What all tests share: a quiet environment, and a mark on what starts Ray or a server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from s3_endpoint import S3Endpoint

# Set before anything is imported that reads them.
for _name, _value in {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "NO_COLOR": "1",
    "TERM": "dumb",
}.items():
    os.environ.setdefault(_name, _value)
os.environ.pop("FORCE_COLOR", None)
os.environ.pop("WSOL_CONFIG", None)
os.environ.pop("MLFLOW_TRACKING_URI", None)
os.environ.pop("WSOL_DEBUG", None)

# How long an example takes is the machine's business: several tests run side by side.
settings.register_profile("wsol", deadline=None)
settings.load_profile("wsol")

_MARKS = {"integration": "integration", "long": "long", "hosts": "cluster"}
# They share one Ray, so one process runs them all; else tests of one file stay together.
_ON_RAY = (
    "test_cluster_local",
    "test_jobs",
    "test_ray",
    "test_readme",
    "test_serve",
    "test_serve_process",
)


class ByFixtures(LoadFileScheduling):
    """Tests that share what takes long to make run in one process."""

    def _split_scope(self, nodeid: str) -> str:
        file = PurePosixPath(nodeid.split("::", 1)[0])
        return "ray" if file.parent.name == "integration" and file.stem in _ON_RAY else str(file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFixtures:
    return ByFixtures(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in tests/integration, in tests/long and in tests/hosts has its mark."""
    for item in items:
        for folder, mark in _MARKS.items():
            if Path(__file__).parent / folder in item.path.parents:
                item.add_marker(mark)
    items.sort(key=lambda item: item.path.stem == "test_readme")  # it ends the Ray that stays


@pytest.fixture(scope="session")
def _endpoint() -> Iterator[S3Endpoint]:
    from s3_endpoint import S3Endpoint  # seconds, and few tests want it

    endpoint = S3Endpoint()
    yield endpoint
    endpoint.stop()


@pytest.fixture
def s3_endpoint(_endpoint: S3Endpoint, monkeypatch: pytest.MonkeyPatch) -> S3Endpoint:
    """A real S3 endpoint on loopback, which this process and its children use."""
    from s3_endpoint import with_environment

    with_environment(_endpoint, monkeypatch)
    return _endpoint


@pytest.fixture
def bucket(s3_endpoint: S3Endpoint) -> Path:
    """An empty bucket, as a path."""
    return s3_endpoint.new_bucket()


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An empty folder in each kind of storage."""
    if request.param == "local":
        return tmp_path / "place"
    found: Path = request.getfixturevalue("bucket")
    return found / "place"
