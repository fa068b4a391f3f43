"""What the project says about itself: its version and what it requires.

A source tree that was never installed has no metadata; its pyproject.toml says the same.
"""

from __future__ import annotations
