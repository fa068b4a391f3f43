"""A registry is a mapping whose unknown names are said with the nearest one."""

from __future__ import annotations

import pytest

from workloads.errors import ConfigError
from workloads.registry import Registry


@pytest.fixture
def shapes() -> Registry[int]:
    return Registry("shape", {"ring": 1, "disc": 2})


def test_names_keep_the_order_in_which_they_were_given(shapes: Registry[int]) -> None:
    assert list(shapes) == ["ring", "disc"]
    assert dict(shapes) == {"ring": 1, "disc": 2}
    assert len(shapes) == 2


def test_an_unknown_name_is_one_line(shapes: Registry[int]) -> None:
    with pytest.raises(ConfigError) as caught:
        shapes["rnig"]
    said = "unknown shape 'rnig'; did you mean 'ring'? (allowed: disc, ring)"
    assert str(caught.value) == said


def test_asking_whether_a_name_is_there_never_raises(shapes: Registry[int]) -> None:
    assert "ring" in shapes
    assert "rnig" not in shapes
    assert 3 not in shapes


def test_get_refuses_an_unknown_name_too(shapes: Registry[int]) -> None:
    with pytest.raises(ConfigError, match="unknown shape 'rnig'"):
        shapes.get("rnig")


def test_what_happens_to_the_given_mapping_later_changes_nothing() -> None:
    entries = {"ring": 1}
    shapes = Registry("shape", entries)
    entries["bar"] = 3
    assert "bar" not in shapes
