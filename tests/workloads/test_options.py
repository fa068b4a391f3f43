"""Unknown keys are refused with the nearest match, and options say what they mean."""

from __future__ import annotations

import pytest
from pydantic import Field

from workloads.errors import ConfigError
from workloads.options import Options, descriptions


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


class Below(Options):
    """A summary.

    More text: with a colon.

    Attributes:
        first: of
            two lines: "a" or "b".
        low, high: a pair.

    Another paragraph: not an attribute.
    """

    first: str = "a"
    low: float = 0.0
    high: float = 1.0
    told: int = Field(default=1, description="by the field")
    silent: int = 1


class Above(Below):
    """Only a summary.

    Attributes:
        low: another meaning.
        own: new.
    """

    own: int = 2


def test_options_say_what_they_mean() -> None:
    assert descriptions(Below) == {
        "first": 'of two lines: "a" or "b".',
        "low": "a pair.",
        "high": "a pair.",
        "told": "by the field",
    }
    assert descriptions(Above) == {
        **descriptions(Below), "low": "another meaning.", "own": "new."
    }  # fmt: skip
    assert descriptions(Options) == {}
