"""Cut-offs of a model: what is allowed, and what is worth searching."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.errors import ConfigError
from workloads.localization.cutoffs import CUTOFFS_SPACE, Cutoffs


@pytest.mark.parametrize(
    "values",
    [
        {"cutoff": 0.0},
        {"cutoff": 0.999},
        {"nms_iou": 1.0},
        {"nms_iou": None},
        {"class_cutoffs": (0.0, 0.5)},
        {"alpha": 0.0, "score_threshold": 0.0, "min_box_px": 0.0},
    ],
)
def test_ends_of_the_ranges_are_allowed(values: dict[str, Any]) -> None:
    parsed = Cutoffs.parse(values, "cutoffs")
    assert {name: getattr(parsed, name) for name in values} == values


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"cutoff": 1.0}, "cutoff"),  # nothing is strictly above the maximum
        ({"cutoff": -0.01}, "cutoff"),
        ({"cutoff": float("nan")}, "cutoff"),
        ({"class_cutoffs": (0.2, 1.0)}, "class_cutoffs.1"),
        ({"nms_iou": 0.0}, "nms_iou"),
        ({"nms_iou": 1.01}, "nms_iou"),
        ({"min_box_px": -1}, "min_box_px"),
        ({"alpha": -0.1}, "alpha"),
        ({"score_threshold": -0.1}, "score_threshold"),
        ({"box_rule": "biggest"}, "box_rule"),
        ({"threshold": "median"}, "threshold"),
        ({"upsample": "never"}, "upsample"),
    ],
)
def test_what_is_outside_is_refused_with_its_key(values: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=rf"^model card: {key}: ") as caught:
        Cutoffs.parse(values, "model card")
    assert "\n" not in str(caught.value)


def test_a_misspelt_rule_gets_the_right_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'box_rule'"):
        Cutoffs.parse({"box_rul": "all"}, "cutoffs")


def test_a_class_has_its_own_cutoff_or_that_of_all() -> None:
    common, each = Cutoffs(cutoff=0.4), Cutoffs(cutoff=0.4, class_cutoffs=(0.1, 0.2))
    assert [common.cutoff_of(label) for label in (0, 7)] == [0.4, 0.4]
    assert [each.cutoff_of(label) for label in (0, 1)] == [0.1, 0.2]
    with pytest.raises(IndexError):
        each.cutoff_of(2)


@pytest.mark.parametrize(
    ("rule", "score", "weighs"),
    [
        ("largest", "peak", False),
        ("tight", "peak", False),
        ("regions", "peak", False),
        ("all", "peak", True),
        ("largest", "mean", True),
        ("all", "mean", True),
        ("largest", "raw_mean", True),
        ("tight", "raw_component", True),
    ],
)
def test_boxes_of_a_class_differ_where_heat_decides(rule: str, score: str, weighs: bool) -> None:
    assert Cutoffs.parse({"box_rule": rule, "box_score": score}, "").weighs_heat is weighs


def test_every_searched_name_is_a_cutoff_and_its_default_lies_inside() -> None:
    assert set(CUTOFFS_SPACE) <= set(Cutoffs.model_fields)
    defaults = Cutoffs().model_dump()
    assert CUTOFFS_SPACE.contains({name: defaults[name] for name in CUTOFFS_SPACE})


@given(seed=st.integers(0, 2**32 - 1))
def test_every_point_of_the_space_is_a_cutoff(seed: int) -> None:
    point = CUTOFFS_SPACE.sample(np.random.default_rng(seed))
    assert Cutoffs.parse(point, "search").model_dump() == {**Cutoffs().model_dump(), **point}


@given(seed=st.integers(0, 2**32 - 1))
def test_cutoffs_survive_json(seed: int) -> None:
    cutoffs = Cutoffs.parse(CUTOFFS_SPACE.sample(np.random.default_rng(seed)), "search")
    assert Cutoffs.model_validate_json(cutoffs.model_dump_json()) == cutoffs
