"""The library's own random search draws what Ray Tune's would."""

from __future__ import annotations

import warnings

import ray
from hypothesis import given, settings
from hypothesis import strategies as st
from ray import tune
from ray.tune import register_trainable
from ray.tune.search.basic_variant import BasicVariantGenerator

from workloads.search.options import SearchOptions
from workloads.search.random_search import _candidates

register_trainable("wsol-nothing", lambda config: None)


def of_ray(options: SearchOptions, first: float) -> list[tuple[float, float]]:
    """The same search by Ray Tune's generator; no Ray is started."""
    generator = BasicVariantGenerator(
        points_to_evaluate=[{"cutoff": first, "alpha": 0.0}], random_state=options.seed
    )
    space = {
        "cutoff": tune.uniform(*options.cutoff_range),
        "alpha": tune.uniform(*options.alpha_range),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        generator.add_configurations(
            {"search": {"run": "wsol-nothing", "config": space, "num_samples": options.trials}}
        )
    found = []
    while (trial := generator.next_trial()) is not None:
        found.append((trial.config["cutoff"], trial.config["alpha"]))
    return found


@settings(max_examples=15)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 12),
    st.floats(0, 0.4),
    st.floats(0.5, 0.99),
    st.floats(0.1, 1),
)
def test_the_candidates_are_those_of_ray_tune(
    seed: int, trials: int, low: float, high: float, alpha: float
) -> None:
    options = SearchOptions(
        seed=seed, trials=trials, cutoff_range=(low, high), alpha_range=(0.0, alpha)
    )
    assert list(_candidates(0.45, options)) == of_ray(options, 0.45)
    assert not ray.is_initialized()
