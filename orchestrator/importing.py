"""A published classifier as a model version, for methods that explain whole networks."""

from __future__ import annotations
