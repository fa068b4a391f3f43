"""What all tests share: a quiet environment, and a mark on what starts Ray or a server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

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
_ON_RAY = ("test_cluster_local", "test_ray", "test_serve", "test_serve_process")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in tests/integration, in tests/long and in tests/hosts has its mark."""
    for item in items:
        for folder, mark in _MARKS.items():
            if Path(__file__).parent / folder in item.path.parents:
                group = "ray" if item.path.stem in _ON_RAY else item.path.stem
                item.add_marker(mark)
                item.add_marker(pytest.mark.xdist_group(group))
