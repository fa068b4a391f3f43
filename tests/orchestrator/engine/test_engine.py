"""The engine without Ray does what Ray does with units, in order and in this process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from orchestrator.config.settings import PoolResources, Settings
from orchestrator.engine.connect import connect, is_inline
from orchestrator.engine.ray_engine import units_together
from workloads.errors import ConfigError, ResourceError

INLINE = Settings(cluster="inline")


class Doubler:
    """An actor that counts how often it was made."""

    made = 0

    def __init__(self, by: int) -> None:
        type(self).made += 1
        self.by = by

    def __call__(self, unit: dict[str, int]) -> dict[str, int]:
        return {"value": self.by * unit["value"]}


def test_a_pool_is_one_actor_made_once() -> None:
    Doubler.made = 0
    units = [{"value": i} for i in range(5)]
    with connect(INLINE) as engine:
        rows = list(engine.pool(units, Doubler, {"by": 3}, PoolResources(actors=4), "annotate"))
        assert list(engine.pool([], Doubler, {"by": 3}, PoolResources(), "annotate")) == []
    assert rows == [{"value": 3 * i} for i in range(5)]
    assert Doubler.made == 1


def test_results_come_as_units_finish() -> None:
    done = []
    with connect(INLINE) as engine:
        for row in engine.tasks([{"value": 1}, {"value": 2}], lambda u: u, 1, "ingest"):
            done.append(row["value"])
            assert done == list(range(1, len(done) + 1))


def test_an_error_of_a_unit_is_the_error() -> None:
    def fail(_: dict[str, int]) -> dict[str, int]:
        raise OSError(28, "No space left on device")

    with connect(INLINE) as engine, pytest.raises(OSError, match="No space"):
        list(engine.tasks([{}], fail, 1, "ingest"))


def test_it_has_no_gpu_to_give() -> None:
    with connect(INLINE) as engine, pytest.raises(ResourceError, match=r"resources\.annotate"):
        list(engine.pool([{}], Doubler, {"by": 1}, PoolResources(gpus_per_actor=1), "annotate"))


def test_an_unknown_cluster_is_named() -> None:
    assert is_inline(INLINE)
    assert not is_inline(Settings())
    with (
        pytest.raises(ConfigError, match="did you mean 'inline'"),
        connect(Settings(cluster="inlin")),
    ):
        pytest.fail("connected")


def test_ray_is_not_imported() -> None:
    code = (
        "import sys\n"
        "from orchestrator.config.settings import Settings\n"
        "from orchestrator.engine.connect import connect\n"
        "with connect(Settings(cluster='inline')): pass\n"
        "assert 'ray' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_sigterm_ends_it_as_an_exit_and_the_handler_is_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, connect(INLINE):
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == before


def test_units_are_handed_over_together_only_if_there_are_many() -> None:
    assert units_together(200, 2) == 1
    assert units_together(7_813, 2) == 3
    assert units_together(7_813, 1_000) == 1  # each actor gets some
    assert units_together(10_000_000, 2) == 16  # and never too many
