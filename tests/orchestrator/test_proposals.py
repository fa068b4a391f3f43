"""Proposals of shards: made once, continued, kept, and shared by equal requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from made_shards import made_record, made_truth, write_shards
from typer.testing import CliRunner

import orchestrator.proposals
from orchestrator.cli.main import app
from orchestrator.config.settings import Settings
from orchestrator.proposals import propose
from workloads.artifacts import MANIFEST, verify
from workloads.errors import Conflict, NotFound
from workloads.proposals.options import ProposalOptions
from workloads.proposals.proposals import Proposals
from workloads.proposals.store import read_proposals
from workloads.shards.shards import Shards

SPLITS = {"train": 5, "val": 2}
ANOTHER = r"holds object proposals of another request .*choose another --out"


class InThisProcess:
    """Stands where the engine stands; counts the units and can fail like a killed process."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.fail_after = 1000

    def tasks(
        self, units: Sequence[Any], function: Callable[[Any], Any], cpus: float, verb: str
    ) -> Iterator[Any]:
        assert (cpus, verb) == (1, "proposals")
        for unit in units:
            if len(self.done) == self.fail_after:
                raise KeyboardInterrupt
            yield function(unit)
            self.done.append(Path(unit["part"]).name)


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> InThisProcess:
    runner = InThisProcess()
    monkeypatch.setattr(orchestrator.proposals, "connect", lambda _: nullcontext(runner))
    return runner


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = [
        made_record(f"{split}{i}", made_truth((0, (2, 2, 20, 20))), split=split)
        for split, count in SPLITS.items()
        for i in range(count)
    ]
    folder = tmp_path_factory.mktemp("made") / "shards"
    return write_shards(folder, made, ["a"], rows_per_file=3, rows_per_group=2)


def proposed(
    workspace: Path, shards: Path, splits: Sequence[str] = (), out: Path | None = None,
    **options: object,
) -> Path:  # fmt: skip
    settings = Settings(workspace=workspace)
    wanted = ProposalOptions.model_validate(options)
    return propose(settings, Shards.open(shards), wanted, splits, out).folder


def test_every_image_of_every_split_gets_its_proposals(
    shards: Path, tmp_path: Path, tasks: InThisProcess
) -> None:
    folder = proposed(tmp_path, shards)
    assert folder.parent == tmp_path / "proposals"
    # Files of three images in groups of two: 2 + 1, 2; and 2.
    assert tasks.done == [f"train-0000{i}.parquet" for i in range(3)] + ["val-00000.parquet"]
    result = Proposals.open(folder)
    assert (result.folder, result.images) == (folder, SPLITS)
    assert verify(folder, "proposals")["digest"] == result.digest
    for split, count in SPLITS.items():
        store = read_proposals(folder, split)
        assert [len(store.boxes(f"{split}{i}")) for i in range(count)] == [1] * count


def test_equal_requests_share_a_folder_and_others_do_not(
    shards: Path, tmp_path: Path, tasks: InThisProcess
) -> None:
    first = proposed(tmp_path, shards, ["train"])
    count = len(tasks.done)
    assert proposed(tmp_path, shards, ["train"]) == first
    assert len(tasks.done) == count
    assert proposed(tmp_path, shards, ["val"]) != first
    assert proposed(tmp_path, shards, ["train"], map_side=8) != first


def test_a_stopped_job_continues(shards: Path, tmp_path: Path, tasks: InThisProcess) -> None:
    tasks.fail_after = 2
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        proposed(tmp_path, shards, out=out)
    assert not (out / MANIFEST).exists()
    with pytest.raises(NotFound, match="no proposals there"):
        Proposals.open(out)
    tasks.fail_after = 1000
    assert proposed(tmp_path, shards, out=out) == out
    assert len(tasks.done) == len(set(tasks.done)) == 4  # nothing twice
    whole = proposed(tmp_path, shards)
    assert Proposals.open(whole).digest == Proposals.open(out).digest


def test_a_folder_belongs_to_one_request(
    shards: Path, tmp_path: Path, tasks: InThisProcess
) -> None:
    out = tmp_path / "out"
    proposed(tmp_path, shards, ["val"], out)
    with pytest.raises(Conflict, match=ANOTHER):
        proposed(tmp_path, shards, ["train"], out)
    with pytest.raises(Conflict, match=ANOTHER):
        proposed(tmp_path, shards, ["val"], out, mode="quality")


def test_an_unknown_split_leaves_nothing_behind(
    shards: Path, tmp_path: Path, tasks: InThisProcess
) -> None:
    with pytest.raises(NotFound, match="unknown split 'tran'; did you mean 'train'"):
        proposed(tmp_path, shards, ["tran"])
    assert list(tmp_path.iterdir()) == []


def test_the_verb(shards: Path, tmp_path: Path, tasks: InThisProcess) -> None:
    out = tmp_path / "out"
    words = ["proposals", str(shards), "--out", str(out), "--split", "val", "-o", "json"]
    words += ["--set", "proposals.map_side=8", "--set", f"workspace={tmp_path}"]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {
        "folder": str(out), "digest": Proposals.open(out).digest, "images": {"val": 2}
    }  # fmt: skip
    assert read_proposals(out, "val").saliency("val1").shape == (8, 8)
