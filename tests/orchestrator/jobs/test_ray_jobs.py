"""Ray's jobs over its web address: what is asked, what travels, and how every failure is said."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Done, wsol
from jobs_server import RESOURCES, TOKEN, JobsServer, jobs_server
from made_job import request

from clusters.tunnel import free_port
from orchestrator.jobs import ray_jobs
from orchestrator.jobs.package import Package
from orchestrator.jobs.ray_jobs import RayJobs, RayState
from orchestrator.jobs.record import Job, Jobs
from orchestrator.jobs.states import JobState
from workloads.errors import ClusterError

WRONG = "not-the-secret-of-ray"


@pytest.fixture
def server() -> Iterator[JobsServer]:
    with jobs_server() as found:
        yield found


def api(server: JobsServer, token: str | None = TOKEN) -> RayJobs:
    return RayJobs(server.address, token, "far")


def made_package(folder: Path) -> Package:
    (folder / "workloads").mkdir(parents=True)
    (folder / "workloads" / "a.py").write_text("x = 1\n")
    (folder / "b.json").write_text("{}")
    return Package(folder, "0123456789abcdef" * 4, 2, 9)


def test_a_job_is_handed_over_as_ray_wants_it(server: JobsServer) -> None:
    sent = api(server).submit("id-1", "python x", {"wsol_job_slot": 1.0}, {"wsol_job": "a"}, None)
    assert sent is False
    assert server.jobs["id-1"] == {
        "submission_id": "id-1",
        "entrypoint": "python x",
        "entrypoint_resources": {"wsol_job_slot": 1.0},
        "metadata": {"wsol_job": "a"},
        "runtime_env": {},
    }
    assert server.asked == [("POST", "/api/jobs/")]


def test_code_travels_once_and_whole(server: JobsServer, tmp_path: Path) -> None:
    code = made_package(tmp_path / "code")
    assert api(server).submit("id-1", "x", {}, {}, code)
    assert not api(server).submit("id-2", "x", {}, {}, code)
    assert [method for method, _ in server.asked].count("PUT") == 1
    ((name, data),) = server.packages.items()
    for submission in ("id-1", "id-2"):
        assert server.jobs[submission]["runtime_env"] == {"working_dir": f"gcs://{name}"}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["b.json", "workloads/a.py"]
        assert archive.read("workloads/a.py") == b"x = 1\n"
        assert {one.external_attr >> 16 for one in archive.infolist()} == {0o644}
    assert code.archive() == data  # the same whenever it is made


def test_what_the_cluster_has_and_knows(server: JobsServer) -> None:
    api(server).submit("id-1", "x", {}, {}, None)
    assert {name: job.state for name, job in api(server).known().items()} == {
        "id-1": RayState.PENDING
    }
    capacity = api(server).capacity()
    assert (capacity.total, capacity.free("wsol_job_slot")) == (RESOURCES, 0.0)
    api(server).stop("id-1")
    api(server).forget("id-1")
    with pytest.raises(ClusterError, match=r"cannot stop: .*HTTP 404 \(no job id-2\)"):
        api(server).stop("id-2")


@pytest.mark.parametrize(
    ("token", "said"), [(WRONG, "refuses this token"), (None, "wants a token and was given none")]
)
def test_every_request_without_the_token_is_refused(
    server: JobsServer, tmp_path: Path, token: str | None, said: str
) -> None:
    client, code = api(server, token), made_package(tmp_path / "code")
    for ask in (
        lambda: client.submit("a", "x", {}, {}, None),
        lambda: client.submit("a", "x", {}, {}, code),
        client.known,
        client.capacity,
        lambda: client.stop("a"),
        lambda: client.forget("a"),
    ):
        with pytest.raises(ClusterError, match=f"cluster 'far': cannot .*{said}") as refused:
            ask()
        assert WRONG not in str(refused.value)
        assert "\n" not in str(refused.value)
    assert not server.jobs
    assert not server.packages


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        ((500, "Traceback\n  File x\nRuntimeError: no agent\n"), r"HTTP 500 \(RuntimeError: no ag"),
        ((502, ""), "HTTP 502; see the cluster's log"),
        ((200, "<html>"), "does not answer: "),
        ((200, '[{"a": 1}]'), "does not speak of jobs as Ray does"),
        ((200, '{"a": 1}'), "does not speak of jobs as Ray does"),
    ],
)
def test_an_address_of_no_use_says_why(
    server: JobsServer, fails: tuple[int, str], said: str
) -> None:
    server.fails = fails
    with pytest.raises(ClusterError, match=said):
        api(server).known()


def test_nobody_there_and_somebody_who_never_answers(
    server: JobsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ClusterError, match=r"does not answer: .*refused"):
        RayJobs(f"http://127.0.0.1:{free_port()}", TOKEN, "far").known()
    monkeypatch.setattr(ray_jobs, "_ANSWER_S", 0.2)
    server.silent_s = 5.0
    started = time.monotonic()
    with pytest.raises(ClusterError, match="does not answer: timed out"):
        api(server).known()
    assert time.monotonic() - started < 4.0


class Place:
    """A workspace with a running job, and a cluster elsewhere that has it."""

    def __init__(self, server: JobsServer, folder: Path) -> None:
        self.token, self.file = folder / "token", folder / "far.yaml"
        self.file.write_text(
            f"name: far\nsummary: x\nkind: existing\naddress: {server.address}\n"
            f"token_path: {self.token}\nshared: [{folder}]\n"
        )
        (folder / "settings.yaml").write_text(
            f"workspace: {folder}\ntracking: {{uri: 'http://tracker:5000'}}\n"
        )
        self.options = ("--config", str(folder / "settings.yaml"))
        jobs = Jobs(folder / "jobs")
        self.job: Job = jobs.create(request("night", cluster=str(self.file)), {})
        self.job.change(lambda r: r.model_copy(update={"submissions": ("id-1",)}))
        self.job.move(JobState.RUNNING, "attempt 1", 1)

    def wsol(self, *words: str) -> Done:
        return wsol(*self.options, *words)


@pytest.fixture
def place(server: JobsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "WSOL_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("orchestrator.jobs.stop.PATIENCE_S", 0.0)
    return Place(server, tmp_path)


@pytest.mark.parametrize(
    ("token", "said"), [(WRONG, "refuses this token"), (None, "no token: "), ("", "holds no token")]
)
def test_submit_without_the_right_token_is_refused(
    server: JobsServer, place: Place, token: str | None, said: str
) -> None:
    """One line, within seconds, and nothing stays behind."""
    if token is not None:
        place.token.write_text(token)
    words = ("--", "train", "digits-cam-tiny", "--shards", str(place.job.folder))
    started = time.process_time()
    done = place.wsol("submit", "--cluster", str(place.file), "--name", "day", *words)
    assert said in done.said(8)
    assert done.err.count("\n") == 1
    assert WRONG not in done.err + done.out
    assert time.process_time() - started < 20
    assert not Jobs(place.job.folder.parent).job("day").folder.exists()
    assert not server.jobs


def test_listing_without_the_right_token_shows_what_was_last_heard(place: Place) -> None:
    place.token.write_text(WRONG)
    done = place.wsol("jobs", "list", "-o", "json")
    assert [row["state"] for row in done.answer()] == ["running"]
    assert "refuses this token" in done.err
    assert "shown is what was last heard" in done.err
    assert done.err.count("\n") == 1
    assert WRONG not in done.err + done.out


def test_stopping_without_the_right_token_goes_through_the_record(
    server: JobsServer, place: Place
) -> None:
    place.token.write_text(WRONG)
    done = place.wsol("jobs", "stop", "night", "-o", "json")
    assert "told to stop" in done.answer()["reason"]
    assert "refuses this token" in done.err
    assert "the job finds the wish in its record" in done.err
    assert WRONG not in done.err + done.out
    assert place.job.read().stop_asked
    place.token.write_text(TOKEN)
    server.jobs["id-1"] = {}
    assert "refuses" not in place.wsol("jobs", "stop", "night").said(0)
    assert server.asked[-1] == ("POST", "/api/jobs/id-1/stop")


def test_resuming_without_the_right_token_changes_nothing(place: Place) -> None:
    place.token.write_text(WRONG)
    place.job.move(JobState.FAILED, "exit code 1")
    assert "refuses this token" in place.wsol("jobs", "resume", "night").said(8)
    assert place.job.read().state is JobState.FAILED


def test_a_token_is_nowhere_in_what_is_kept(server: JobsServer, place: Place) -> None:
    """Neither in the answer, nor in the record, nor in what the cluster is told."""
    place.token.write_text(TOKEN)
    words = ("--", "train", "digits-cam-tiny", "--shards", str(place.job.folder))
    options = ("submit", "--cluster", str(place.file), "--name", "day", "-o", "json")
    said = place.wsol(*options, *words)
    assert said.answer()["state"] == "waiting"
    kept = [p for p in place.job.folder.parent.rglob("*") if p.is_file()]
    texts = [said.out, said.err, str(server.jobs), *(p.read_text() for p in kept)]
    assert len(kept) >= 4
    assert not [text for text in texts if TOKEN in text]
