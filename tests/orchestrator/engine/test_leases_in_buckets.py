"""Leases without file locks: two processes and a bucket, where only conditions on writes help."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.engine import leases
from orchestrator.engine.leases import LEASE, Holder, lease
from workloads.artifacts import exists, read_json, write_text
from workloads.errors import Conflict

WORKER = """
import sys, time
from pathlib import Path
from orchestrator.engine.leases import lease
from workloads.errors import Conflict

folder, start = Path(sys.argv[1]), float(sys.argv[2])
time.sleep(max(0, start - time.time()))
try:
    with lease(folder, "train"):
        print("won", flush=True)
        time.sleep(float(sys.argv[3]))
except Conflict:
    print("refused", flush=True)
"""


def start(folder: Path, moment: float, seconds: float) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", WORKER, str(folder), str(moment), str(seconds)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def test_of_two_that_start_together_one_gets_it(bucket: Path) -> None:
    """Over a stale lease, which is the harder case: both see that it is stale."""
    gone = replace(Holder.of_this_process("train"), pid=2**22 + 1)
    write_text(bucket / LEASE, gone.text)
    racers = [start(bucket, time.time() + 3.0, 3.0) for _ in range(2)]
    said = [racer.communicate(timeout=60)[0] for racer in racers]
    assert sorted(said) == ["refused\n", "won\n"]


def test_a_killed_holder_blocks_nobody_on_its_machine(bucket: Path) -> None:
    with start(bucket, 0, 60) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "won\n"
        with pytest.raises(Conflict, match=rf"works there \(process {process.pid} "):
            lease(bucket, "train").__enter__()
        process.kill()
        process.wait()
    with lease(bucket, "train"):
        assert read_json(bucket / LEASE)["pid"] == os.getpid()
    with lease(bucket, "train"):  # given back, and taken anew
        pass


def test_a_holder_elsewhere_counts_until_it_was_silent_for_long(place: Path) -> None:
    other = replace(Holder.of_this_process("annotate"), machine="another/boot", host="node-7")
    write_text(place / LEASE, other.text)
    with pytest.raises(Conflict, match=r"'wsol annotate' works there \(.* on node-7"):
        lease(place, "annotate").__enter__()
    write_text(place / LEASE, replace(other, beat=time.time() - leases.STALE_S - 1).text)
    with lease(place, "annotate"):
        pass


@pytest.mark.parametrize(
    ("theirs", "ours", "free"),
    [
        (("night", 1), ("night", 2), True),  # tried again
        (("night", 2), ("night", 1), False),  # an earlier try that is still about
        (("night", 1), ("night", 1), False),  # two processes of one try
        (("night", 0), ("night", 0), True),  # tries are not counted
        (("night", 1), ("day", 2), False),  # another job
        (("", 0), ("", 0), False),  # no job at all
    ],
)
def test_a_job_that_is_tried_again_meets_no_ghost(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    theirs: tuple[str, int],
    ours: tuple[str, int],
    free: bool,
) -> None:
    """The ghost is on another machine, where nobody can look for its process."""
    base = replace(Holder.of_this_process("train"), machine="another/boot")
    write_text(place / LEASE, replace(base, job=theirs[0], attempt=theirs[1]).text)
    monkeypatch.setenv(leases.JOB_VARIABLE, ours[0])
    monkeypatch.setenv(leases.ATTEMPT_VARIABLE, str(ours[1]))
    if free:
        with lease(place, "train"):
            assert read_json(place / LEASE)["job"] == ours[0]
    else:
        with pytest.raises(Conflict):
            lease(place, "train").__enter__()


def test_a_lease_of_an_earlier_version_is_read(place: Path) -> None:
    values = json.loads(replace(Holder.of_this_process("train"), machine="another/boot").text)
    write_text(
        place / LEASE, json.dumps({k: values[k] for k in values.keys() - {"job", "attempt"}})
    )
    with pytest.raises(Conflict, match="works there"):
        lease(place, "train").__enter__()


def test_the_ghost_stops_when_it_finds_its_lease_gone(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "BEAT_S", 0.05)
    other = replace(Holder.of_this_process("train"), token="another")
    with pytest.raises(Conflict, match="took over"), lease(bucket, "train"):
        write_text(bucket / LEASE, other.text)
        for _ in range(200):
            time.sleep(0.05)
        pytest.fail("it went on")
    assert exists(bucket / LEASE)
    assert read_json(bucket / LEASE)["token"] == "another"
