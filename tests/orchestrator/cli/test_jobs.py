"""`wsol submit` and `wsol jobs` without a cluster: what is asked of it, what is answered."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from commands import Done, wsol
from made_job import request

from clusters.base import JOB_SLOT, Cluster
from orchestrator.jobs.package import Package
from orchestrator.jobs.ray_jobs import Capacity, RayJob, RayState
from orchestrator.jobs.record import Job, Jobs, Record, Transition
from orchestrator.jobs.states import JobState
from workloads.errors import ClusterError
from workloads.recipes.load import load_recipe


class FakeCluster:
    """Takes jobs and starts none."""

    def __init__(self) -> None:
        self.total = {"CPU": 2.0, JOB_SLOT: 1.0}
        self.taken: dict[str, str] = {}
        self.has: set[str] = set()
        self.stopped: list[str] = []
        self.gone = False
        self.answers = True

    def capacity(self) -> Capacity:
        if not self.answers:
            raise ClusterError("does not answer")
        return Capacity(self.total, {JOB_SLOT: 1.0})

    def submit(
        self,
        submission: str,
        entrypoint: str,
        resources: Mapping[str, float],
        metadata: Mapping[str, str],
        code: Package | None,
    ) -> bool:
        self.taken[submission] = entrypoint
        assert resources == {name: 1.0 for name in self.total if name == JOB_SLOT}
        sent = code is not None and code.digest not in self.has
        self.has |= {code.digest} if code else set()
        return sent

    def known(self) -> dict[str, RayJob]:
        return {name: RayJob(RayState.PENDING, "") for name in self.taken}

    def stop(self, submission: str) -> None:
        self.stopped.append(submission)

    def forget(self, submission: str) -> None:
        del self.taken[submission]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    fake = FakeCluster()

    def connect(described: Cluster) -> FakeCluster:
        if fake.gone:
            raise ClusterError(f"cluster '{described.given}' is not up")
        return fake

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WSOL_CONFIG", raising=False)
    monkeypatch.setattr("orchestrator.cli.submit.connect", connect)
    monkeypatch.setattr("clusters.local.Local.submit_address", lambda self: "http://127.0.0.1:1")
    return fake


def submit(*words: str, name: str = "night") -> Done:
    return wsol("submit", "--name", name, "-o", "json", *words)


TRAIN = ("--", "train", "digits-cam-tiny", "--shards", "shards")


def test_a_job_is_recorded_and_handed_over(cluster: FakeCluster, tmp_path: Path) -> None:
    answer = submit(*TRAIN).answer()
    assert (answer["job"], answer["state"]) == ("night", "waiting")
    record = Jobs(tmp_path / "wsol-workspace" / "jobs").job("night").read()
    assert record.request.words == ("train", *TRAIN[2:], "-o", "json")
    assert record.request.resumes
    assert record.request.needs == {"CPU": 2.0}
    (submission, entrypoint), *_ = cluster.taken.items()
    assert record.submissions == (submission,)
    assert entrypoint.endswith(f"-m orchestrator.jobs.keeper {tmp_path}/wsol-workspace/jobs/night")
    settings = json.loads((tmp_path / "wsol-workspace/jobs/night/settings.json").read_text())
    assert settings["cluster"] == "joined"


def test_settings_of_both_sides_of_the_dashes_are_the_jobs(cluster: FakeCluster) -> None:
    words = ("--", "train", "digits-cam-tiny", "--set", "train.epochs=3", "--shards", "s")
    shown = json.loads(submit("--dry-run", "--set", "tune.alphas=7", *words).out)
    assert shown["settings"]["train"]["epochs"] == 3
    assert shown["settings"]["tune"]["alphas"] == 7
    assert "--set" not in shown["command"]


def test_a_dry_run_says_all_and_does_nothing(
    cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret-of-ray")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret-of-mlflow")
    done = submit("--dry-run", *TRAIN)
    shown = json.loads(done.out)
    assert shown["needs"] == {"CPU": 2.0}
    assert shown["has"]["CPU"] == 2.0
    assert shown["free"][JOB_SLOT] == 0.0
    assert shown["entrypoint_resources"] == {JOB_SLOT: 1.0}
    assert "secret" not in done.out
    assert not cluster.taken
    assert not (tmp_path / "wsol-workspace" / "jobs").exists()


@pytest.fixture
def far(tmp_path: Path) -> tuple[str, ...]:
    """Options of a cluster elsewhere, which sees the folder `shared` alone, and a tracker there."""
    (tmp_path / "far.yaml").write_text(
        "name: far\nsummary: x\nkind: existing\naddress: http://far:8265\n"
        f"token_path: {tmp_path / 'token'}\nshared: [{tmp_path / 'shared'}]\n"
    )
    (tmp_path / "token").write_text("secret-of-ray")
    workspace = ("--set", f"workspace={tmp_path / 'shared'}")
    return ("--cluster", "far.yaml", *workspace, "--set", "tracking.uri=http://tracker:5000")


def test_a_recipe_file_travels_with_its_job(
    cluster: FakeCluster, far: tuple[str, ...], tmp_path: Path
) -> None:
    """The job's own copy is what runs, whatever becomes of the file; its name stays."""
    (tmp_path / "my.yaml").write_text("base: digits-cam-tiny\n")
    words = ("--", "train", "my.yaml", "--shards", str(tmp_path / "shared" / "shards"))
    assert submit(*far, *words).answer()["command"].startswith("wsol train my.yaml --shards")
    (tmp_path / "my.yaml").unlink()
    job = Jobs(tmp_path / "shared" / "jobs").job("night")
    copy = Path(job.read().request.words[1])
    assert (copy.name, copy.read_text()) == ("my.yaml", "base: digits-cam-tiny\n")
    assert copy.is_relative_to(job.folder)
    assert load_recipe(str(copy)).name == "my"
    listed = wsol(*far[2:], "jobs", "list", "-o", "json").answer()
    assert listed[0]["command"].startswith("wsol train my.yaml --shards")


def test_a_job_knows_the_file_of_its_cluster_in_every_folder(
    cluster: FakeCluster, far: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--", "train", "digits-cam-tiny", "--shards", str(tmp_path / "shared" / "shards"))
    submit(*far, *words).answer()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for file in ("../elsewhere/../far.yaml", str(tmp_path / "far.yaml")):
        listed = wsol(*far[2:], "jobs", "list", "-o", "json", "--cluster", file)
        assert listed.err == ""
        assert [row["job"] for row in listed.answer()] == ["night"]
    assert "waits_for" in wsol(*far[2:], "jobs", "status", "night", "-o", "json").answer()


def test_recipe_files_of_a_pipeline_travel_too(
    cluster: FakeCluster, far: tuple[str, ...], tmp_path: Path
) -> None:
    """In the settings, of `run` alone; those that have a name stay as they are."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "my.yml").write_text("base: digits-cam-tiny\n")
    recipes = ("--set", "pipeline.recipes=[sub/my.yml, digits-spn-tiny]")
    submit(*far, *recipes, "--", "run").answer()
    job = Jobs(tmp_path / "shared" / "jobs").job("night")
    assert json.loads(job.settings.read_text())["pipeline"]["recipes"] == [
        str(job.folder / "recipes" / "my.yml"),
        "digits-spn-tiny",
    ]
    data = str(tmp_path / "shared" / "raw")
    submit(*far, *recipes, "--", "ingest", "--root", data, "--out", data, name="other").answer()
    assert not Jobs(tmp_path / "shared" / "jobs").job("other").read().request.recipes


def test_a_job_is_resumed_with_the_recipe_that_was_submitted(
    cluster: FakeCluster, far: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "my.yaml").write_text("base: digits-cam-tiny\n")
    words = ("--", "train", "my.yaml", "--shards", str(tmp_path / "shared" / "shards"))
    submit(*far, *words).answer()
    (tmp_path / "my.yaml").write_text("base: digits-spn-tiny\n")
    there = far[2:]
    wsol(*there, "jobs", "stop", "night")
    assert wsol(*there, "jobs", "resume", "night", "-o", "json").answer()["state"] == "waiting"
    job = Jobs(tmp_path / "shared" / "jobs").job("night")
    assert job.recipe("my.yaml").read_text() == "base: digits-cam-tiny\n"
    wsol(*there, "jobs", "stop", "night")
    job.recipe("my.yaml").write_text("base: digits-spn-tiny\n")
    assert "was changed since job 'night'" in wsol(*there, "jobs", "resume", "night").said(6)
    job.recipe("my.yaml").unlink()
    assert "is gone since job 'night'" in wsol(*there, "jobs", "resume", "night").said(6)
    assert job.read().state is JobState.STOPPED


@pytest.mark.parametrize(
    ("recipe", "text", "code", "said"),
    [
        ("my.yaml", None, 4, "my.yaml: no such recipe"),
        ("my.yaml", "base: digits-cam-tny\n", 2, "did you mean 'digits-cam-tiny'"),
        ("my.yaml", "base: digits-cam-tiny\n# " + "x" * 2**18, 2, "has 256 KiB, a recipe that"),
        ("digits-cam-tinny", None, 2, "did you mean 'digits-cam-tiny'"),
        ("shared.yaml", "base: digits-cam-tiny\ninitial: w.pth\n", 2, "w.pth: only this machine"),
    ],
)
def test_a_wrong_recipe_is_refused_before_it_travels(
    cluster: FakeCluster,
    far: tuple[str, ...],
    tmp_path: Path,
    recipe: str,
    text: str | None,
    code: int,
    said: str,
) -> None:
    """With what it names: weights that only this machine sees."""
    (tmp_path / "w.pth").touch()
    if text is not None:
        (tmp_path / recipe).write_text(text)
    words = ("--", "train", recipe, "--shards", str(tmp_path / "shared" / "shards"))
    assert said in submit(*far, *words).said(code)
    assert not cluster.taken


def test_a_recipe_that_stands_for_something_else_too_is_refused(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    (tmp_path / "my.yaml").write_text("base: digits-cam-tiny\n")
    words = ("--", "train", "my.yaml", "--name", "my.yaml", "--shards", "s")
    assert "'my.yaml' is a recipe, and something else, too" in submit(*words).said(2)


def test_code_travels_once(cluster: FakeCluster, far: tuple[str, ...], tmp_path: Path) -> None:
    words = ("--", "train", "digits-cam-tiny", "--shards", str(tmp_path / "shared" / "shards"))
    assert submit(*far, *words).answer()["code_sent"]
    assert not submit(*far, *words, name="day").answer()["code_sent"]
    assert not submit(*TRAIN, name="here").answer()["code_sent"]


def test_a_head_without_slots_starts_jobs_at_once(cluster: FakeCluster) -> None:
    """It is asked for none, or the job would wait for ever."""
    del cluster.total[JOB_SLOT]
    assert submit(*TRAIN).answer()["state"] == "waiting"
    assert json.loads(submit("--dry-run", *TRAIN, name="b").out)["entrypoint_resources"] == {}


def test_a_job_stays_as_it_is_if_it_cannot_be_resumed(cluster: FakeCluster, tmp_path: Path) -> None:
    submit(*TRAIN)
    wsol("jobs", "stop", "night")
    cluster.answers = False
    assert "does not answer" in wsol("jobs", "resume", "night").said(8)
    job = Jobs(tmp_path / "wsol-workspace" / "jobs").job("night")
    assert job.read().state is JobState.STOPPED


def test_what_can_never_fit_is_refused_with_both_numbers(cluster: FakeCluster) -> None:
    said = submit("--set", "resources.train.workers=9", *TRAIN).said(7)
    assert "train needs 9 CPU, cluster 'local' has 2" in said


def test_a_name_is_used_once(cluster: FakeCluster) -> None:
    submit(*TRAIN).answer()
    assert "a name is used once" in submit(*TRAIN).said(5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--", "serve"), "unknown verb 'serve'"),
        (("--", "train", "digits-cam-tiny"), "Missing option '--shards'"),
        (("--", "train", "digits-cam-tiny", "--shrds", "s"), "No such option: --shrds"),
        (("--", "trian", "x"), "No such command 'trian'"),
        (("--",), "Missing argument"),
    ],
)
def test_a_wrong_command_is_refused_before_it_travels(
    cluster: FakeCluster, words: tuple[str, ...], said: str
) -> None:
    assert said in submit(*words).said(2)
    assert not cluster.taken


def test_a_cluster_that_takes_no_jobs_is_refused(cluster: FakeCluster) -> None:
    assert "takes no jobs" in submit("--cluster", "inline", *TRAIN).said(2)


def test_a_cluster_that_is_gone_has_its_own_code(cluster: FakeCluster) -> None:
    cluster.gone = True
    submit(*TRAIN).said(8)


def test_a_waiting_job_is_stopped_at_once(cluster: FakeCluster) -> None:
    submit(*TRAIN)
    answer = wsol("jobs", "stop", "night", "-o", "json").answer()
    assert answer["state"] == "stopped"
    assert wsol("jobs", "wait", "night", "-o", "json").code == 10
    again = wsol("jobs", "stop", "night", "-o", "json")
    assert again.code == 0
    assert "is over already" in again.err


def test_a_waiting_job_says_for_what(cluster: FakeCluster) -> None:
    submit(*TRAIN)
    answer = wsol("jobs", "status", "night", "-o", "json").answer()
    assert answer["waits_for"] == "waits for a job slot: 1 of 1 taken"


def test_a_stopped_job_is_resumed_under_its_name(cluster: FakeCluster, tmp_path: Path) -> None:
    submit(*TRAIN)
    assert "is waiting" in wsol("jobs", "resume", "night").said(5)
    wsol("jobs", "stop", "night")
    assert wsol("jobs", "resume", "night", "-o", "json").answer()["state"] == "waiting"
    record = Jobs(tmp_path / "wsol-workspace" / "jobs").job("night").read()
    assert len(set(record.submissions)) == 2
    assert not record.stop_asked


def test_unknown_jobs_are_not_found(cluster: FakeCluster) -> None:
    for verb in ("status", "logs", "stop", "resume", "wait", "delete"):
        assert "no job 'day'" in wsol("jobs", verb, "day").said(4)


def test_waiting_has_a_limit_and_the_job_goes_on(cluster: FakeCluster) -> None:
    submit(*TRAIN)
    assert "goes on" in wsol("jobs", "wait", "night", "--timeout", "0").said(11)
    assert wsol("jobs", "status", "night", "-o", "json").answer()["state"] == "waiting"


@pytest.mark.parametrize(("code", "state"), [(0, "succeeded"), (3, "succeeded"), (7, "failed")])
def test_wait_passes_on_the_jobs_own_code(
    cluster: FakeCluster, tmp_path: Path, code: int, state: str
) -> None:
    submit(*TRAIN)
    job = Jobs(tmp_path / "wsol-workspace" / "jobs").job("night")
    job.change(lambda r: r.model_copy(update={"exit_code": code}))
    job.move(JobState(state), "done", 1)
    assert wsol("jobs", "wait", "night", "-o", "json").answer(code)["exit_code"] == code


@pytest.mark.parametrize(("state", "code"), [("timed_out", 11), ("stopped", 10), ("lost", 8)])
def test_wait_says_how_a_job_ended_that_did_not_finish(
    cluster: FakeCluster, tmp_path: Path, state: str, code: int
) -> None:
    """Whatever the verb said when it was ended; `submit --wait` does the same."""
    submit("--retries", "0", *TRAIN)
    job = Jobs(tmp_path / "wsol-workspace" / "jobs").job("night")
    job.change(lambda r: r.model_copy(update={"exit_code": 143}))
    job.move(JobState(state), "over", 1)
    assert wsol("jobs", "wait", "night", "-o", "json").answer(code)["state"] == state
    assert wsol("jobs", "logs", "night").code == 4  # no attempt has said anything


def test_submit_waits_for_the_end_with_the_jobs_own_code(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cluster runs the job while it is handed over; its limit was five hours."""
    plain = cluster.submit

    def runs(
        submission: str, entrypoint: str, resources: Any, metadata: Any, code: Package | None
    ) -> bool:
        folder = Path(entrypoint.split()[-1])
        assert Job(folder).read().request.time_limit_s == 5 * 3600
        Job(folder).change(lambda r: r.model_copy(update={"exit_code": 7}))
        Job(folder).move(JobState.FAILED, "no room", 1)
        return plain(submission, entrypoint, resources, metadata, code)

    monkeypatch.setattr(cluster, "submit", runs)
    answer = submit("--wait", "--time-limit", "5", *TRAIN).answer(7)
    assert (answer["state"], answer["reason"]) == ("failed", "no room")


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "inf"])
def test_a_limit_is_some_time(cluster: FakeCluster, hours: str) -> None:
    assert "must be above 0 hours" in submit("--time-limit", hours, *TRAIN).said(2)
    assert not cluster.taken


@pytest.mark.parametrize("name", ["../x", "a/b", ".x", "", "x" * 65, "ü"])
def test_a_name_is_one_of_a_folder(cluster: FakeCluster, name: str) -> None:
    done = submit(*TRAIN, name=name)
    assert "name" in done.said(2)
    assert done.err.count("\n") == 1
    assert not cluster.taken


def test_jobs_are_listed_and_filtered_also_when_their_cluster_is_gone(
    cluster: FakeCluster,
) -> None:
    submit(*TRAIN, name="a")
    submit("--", "ingest", "--root", "raw", "--out", "o", name="b").answer()
    wsol("jobs", "stop", "a")
    cluster.gone = True

    def names(*words: str) -> list[str]:
        return [row["job"] for row in wsol("jobs", "list", "-o", "json", *words).answer()]

    assert names() == ["a", "b"]
    assert names("--state", "stopped") == ["a"]
    assert names("--verb", "ingest") == ["b"]
    assert names("--cluster", "elsewhere") == []
    assert "did you mean 'stopped'" in wsol("jobs", "list", "--state", "stoped").said(2)


def test_a_job_that_its_cluster_forgot_is_lost(cluster: FakeCluster, tmp_path: Path) -> None:
    submit(*TRAIN)
    cluster.taken.clear()
    job = Jobs(tmp_path / "wsol-workspace" / "jobs").job("night")
    job.change(_an_hour_ago)
    answer = wsol("jobs", "list", "-o", "json").answer()
    assert answer[0]["state"] == "lost"
    assert "head was started anew" in answer[0]["reason"]


def test_a_thousand_jobs_are_listed_within_a_second(cluster: FakeCluster, tmp_path: Path) -> None:
    """In CPU time of this process, without imports; 5 times that before it fails."""
    folder = tmp_path / "wsol-workspace" / "jobs"
    step = Transition(state=JobState.SUCCEEDED, time="2026-01-01T00:00:00+00:00", reason="x")
    for number in range(1000):
        record = Record(request=request(f"job-{number}"), transitions=(step,) * 4)
        (folder / record.name).mkdir(parents=True)
        (folder / record.name / "record.json").write_text(record.model_dump_json())
    wsol("jobs", "list")
    started = time.process_time()
    assert len(wsol("jobs", "list", "-o", "json", "--limit", "2000").answer()) == 1000
    assert time.process_time() - started < 5


def test_logs_of_a_job(cluster: FakeCluster, tmp_path: Path) -> None:
    from orchestrator.jobs.logs import DRIVER, LogWriter

    submit(*TRAIN)
    folder = tmp_path / "wsol-workspace" / "jobs" / "night" / "logs"
    with LogWriter(folder, DRIVER, 1) as log:
        log.write(b"one\ntwo\n")
    assert _bytes_of("jobs", "logs", "night") == "one\ntwo\n"
    assert _bytes_of("jobs", "logs", "night", "--tail", "1") == "two\n"
    assert "no log of rank-4" in wsol("jobs", "logs", "night", "--rank", "4").said(4)


def test_deleting_leaves_nothing(cluster: FakeCluster, tmp_path: Path) -> None:
    submit(*TRAIN)
    assert "stop it first" in wsol("jobs", "delete", "night").said(5)
    wsol("jobs", "stop", "night")
    assert wsol("jobs", "delete", "night").code == 0
    assert not cluster.taken
    assert wsol("jobs", "list", "-o", "json").answer() == []


def _an_hour_ago(record: Record) -> Record:
    old = "2020-01-01T00:00:00+00:00"
    steps = tuple(t.model_copy(update={"time": old}) for t in record.transitions)
    return record.model_copy(update={"transitions": steps})


def _bytes_of(*words: str) -> str:
    done = wsol(*words)
    assert done.code == 0, done.err
    return done.out
