"""Unknown keys are refused with the nearest match, at any depth, in one line."""

from __future__ import annotations

import pytest

from workloads.errors import ConfigError
from workloads.options import Options


class Inner(Options):
    learning_rate: float = 0.1


class Outer(Options):
    inner: Inner = Inner()
    many: tuple[Inner, ...] = ()
    name: str = "x"


def test_good_values_pass() -> None:
    assert Outer.parse({"inner": {"learning_rate": 1}}, "file").inner.learning_rate == 1.0
    assert Outer.parse(None, "file") == Outer()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nmae": "y"}, "file: unknown key 'nmae'; did you mean 'name'?"),
        (
            {"inner": {"learning_rat": 1}},
            "file.inner: unknown key 'learning_rat'; did you mean 'learning_rate'?",
        ),
        ({"many": [{"learning_rat": 1}]}, "did you mean 'learning_rate'?"),
        ({"inner": {"learning_rate": "fast"}}, "file: inner.learning_rate: "),
        ({"name": 7}, "given 7"),
    ],
)
def test_bad_values_are_one_line(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Outer.parse(values, "file")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
