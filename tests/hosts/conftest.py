"""Tests over several hosts: what Ray says about its own code is its own affair."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Warnings are errors in our code, not in Ray's."""
    config.addinivalue_line("filterwarnings", r"ignore:::ray\.")
