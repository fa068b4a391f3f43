"""Search spaces of all methods: real options, the published values inside, samples that parse."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.localization.cutoffs import CUTOFFS_SPACE, Cutoffs
from workloads.methods.base import OPTIMISATION, Method
from workloads.methods.registry import METHODS
from workloads.space import Values
from workloads.training.options import TrainOptions

PRESETS = [(name, preset) for name, kind in METHODS.items() for preset in (None, *kind.presets)]


@pytest.fixture(params=sorted(METHODS))
def kind(request) -> type[Method]:
    return METHODS[request.param]


def parsed(kind: type[Method], values: Values) -> tuple[dict, dict]:
    """Values of a training as options of the method and of the training; both refuse others."""
    own = {name: value for name, value in values.items() if name in kind.options_type.model_fields}
    others = {name: value for name, value in values.items() if name not in own}
    method = kind.options_type.parse(own, "method").model_dump()
    return method, TrainOptions.parse(others, "train").model_dump()


def test_names_are_options_of_the_method_or_of_training_and_not_of_both(kind):
    for name in kind.search_space.training:
        places = (kind.options_type.model_fields, TrainOptions.model_fields)
        assert sum(name in fields for fields in places) == 1, name
    assert set(OPTIMISATION) <= set(kind.search_space.training)
    assert set(kind.search_space.stored_maps) <= set(Cutoffs.model_fields)


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_defaults_and_presets_lie_inside(name, preset):
    kind = METHODS[name]
    method, train = parsed(kind, dict(kind.presets[preset]) if preset else {})
    space = kind.search_space.training
    values = {key: value for key, value in (train | method).items() if key in space}
    assert space.contains(values), values


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("name", sorted(METHODS))
def test_samples_satisfy_the_constraints_and_are_options(name, seed):
    kind = METHODS[name]
    space = kind.search_space.training
    rng = np.random.default_rng(seed)
    for _ in range(100):  # a thousand in all
        values = space.sample(rng)
        assert space.contains(values)
        method, train = parsed(kind, values)
        assert {key: (train | method)[key] for key in values} == values


def test_descriptions_are_json(kind):
    for space in kind.search_space:
        described = space.describe()["parameters"]
        assert list(described) == list(space)
        json.dumps(described, allow_nan=False)


def test_cutoffs_hold_their_own_space():
    defaults = Cutoffs().model_dump()
    assert CUTOFFS_SPACE.contains({name: defaults[name] for name in CUTOFFS_SPACE})
    rng = np.random.default_rng(0)
    for _ in range(1000):
        values = CUTOFFS_SPACE.sample(rng)
        found = Cutoffs.parse(values, "cutoffs").model_dump()
        assert {name: found[name] for name in values} == values
