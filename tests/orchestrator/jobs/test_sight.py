"""What a cluster cannot see is refused before submission, and named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from clusters.cluster import load_cluster
from clusters.existing import Existing
from orchestrator.config.settings import Settings
from orchestrator.jobs.command import Command, needs
from orchestrator.jobs.sight import check_sight
from workloads.errors import ConfigError

FAR = Existing(
    name="far", summary="x", kind="existing", address="http://far:8265", shared=("/shared",)
)
SERVER = {"uri": "http://tracker:5000"}


def command(places: dict[str, str] | None = None, **settings: object) -> Command:
    values = {"workspace": "/shared/w", "tracking": SERVER, **settings}
    return Command(
        verb="train",
        words=("train",),
        settings=Settings.parse(values, "test"),
        resumes=True,
        places={word: Path(path) for word, path in (places or {}).items()},
    )


def test_what_all_nodes_share_is_seen() -> None:
    check_sight(command({"/shared/s": "/shared/s"}, data={"root": "/shared/raw"}), FAR)


def test_object_storage_is_seen() -> None:
    check_sight(command({"s3://b/s": "s3://b/s"}, workspace="s3://b/w"), FAR)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"workspace": "/home/me/w"}, r"workspace: only this machine can see /home/me/w"),
        ({"data": {"root": "/data/voc"}}, r"data\.root: only this machine can see /data/voc"),
        ({"places": {"my.yaml": "my.yaml"}}, r"my\.yaml: only this machine can see my\.yaml"),
        ({"places": {"/tmp/s": "/tmp/s"}}, r"/tmp/s: only this machine can see /tmp/s"),
        ({"places": {"s": "/shared-not/s"}}, r"s: only this machine .*shared folders \(/shared\)"),
    ],
)
def test_what_only_this_machine_sees_is_refused(changes: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        check_sight(command(**changes), FAR)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tracking", "said"),
    [
        ({}, r"a SQLite file cannot track jobs of cluster 'far'; start one .*mlflow server"),
        ({"uri": "sqlite:////shared/m.db"}, "a SQLite file cannot track"),
        ({"uri": "http://127.0.0.1:5000"}, "that is another machine"),
        ({"uri": "http://localhost:5000"}, "that is another machine"),
        ({"uri": "http://me:secret@tracker:5000"}, "holds a password"),
    ],
)
def test_a_tracker_that_a_job_cannot_write_to_is_refused(
    tracking: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        check_sight(command(tracking=tracking), FAR)
    assert "secret" not in str(refused.value)


def test_files_that_settings_name_are_refused_where_they_are_used(tmp_path: Path) -> None:
    """An option of a layout counts if it is a place of this machine; where nobody reads, none."""
    (tmp_path / "boxes.json").touch()
    options = {"options": {"boxes": str(tmp_path / "boxes.json"), "source": "a/b"}}
    with pytest.raises(ConfigError, match=r"ingest\.options\.boxes: only this machine can see"):
        check_sight(replace(command(ingest=options), verb="ingest"), FAR)
    check_sight(command(ingest=options), FAR)
    pairs = {"metrics": {"difficult_pairs": "/home/me/pairs.csv"}}
    with pytest.raises(ConfigError, match=r"evaluate\.metrics\.difficult_pairs: only this machine"):
        check_sight(command(evaluate=pairs), FAR)


def test_on_this_machine_everything_is_seen() -> None:
    check_sight(
        command({"s": "/anywhere/s"}, workspace="/home/me/w", tracking={}), load_cluster("local")
    )


def test_a_training_needs_all_its_workers_and_units_one_at_a_time() -> None:
    train = {"workers": 4, "cpus_per_worker": 2, "gpus_per_worker": 1}
    settings = Settings.parse({"resources": {"train": train}}, "test")
    assert needs("train", settings) == {"CPU": 8.0, "GPU": 4.0}
    assert needs("annotate", settings) == {"CPU": 1.0}
    assert needs("run", settings) == {"CPU": 8.0, "GPU": 4.0}
