"""Text for one line of a terminal or a log."""

from __future__ import annotations
