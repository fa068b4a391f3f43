"""The one number by which trials are compared, where some metrics have a floor."""

from __future__ import annotations

from collections.abc import Mapping

from workloads.errors import WsolError


def judged(measured: Mapping[str, float], metric: str, at_least: Mapping[str, float]) -> float:
    """The metric of a trial that reaches all floors, else minus what it is short of them.

    Metrics are never negative, so whatever reaches the floors is above all that does not, and of
    what does not the one that comes nearest is the best: a search is led towards the floors first.

    Args:
        measured: metric to value in [0, 1].
        at_least: metric to its floor.

    Raises:
        WsolError: one of the metrics has no case.
    """
    for name in (metric, *at_least):
        if name not in measured:
            raise WsolError(
                f"metric {name} has no case on the validation split; choose another sweep.metric "
                "or sweep.at_least"
            )
    short = sum(max(0.0, floor - measured[name]) for name, floor in at_least.items())
    return -short if short else measured[metric]
