"""Handing a command to a cluster: what exactly is asked for, whether it can fit, and the doing."""

from __future__ import annotations

import json
import re
import secrets
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from clusters.base import JOB_SLOT, Cluster, Remote
from clusters.cluster import lasting
from orchestrator.config.settings import Settings
from orchestrator.config.workspace import Workspace
from orchestrator.jobs.command import Command, needs
from orchestrator.jobs.package import Package, package
from orchestrator.jobs.ray_jobs import Capacity
from orchestrator.jobs.recipes import OwnRecipe, check_unchanged
from orchestrator.jobs.record import NAME, Job, Jobs, Record, Request, now
from orchestrator.jobs.sight import check_sight
from orchestrator.jobs.states import JobState
from orchestrator.provenance import version
from workloads.errors import ConfigError, Conflict, ResourceError
from workloads.storage.addresses import shown

JOINED = "joined"
"""The cluster of a job's settings: the one that it runs on."""

_ROOT = Path(__file__).resolve().parents[2]


class JobsApi(Protocol):
    """Questions to a cluster; see `RayJobs`."""

    def capacity(self) -> Capacity:
        """Resources that it has, and those in use."""

    def submit(
        self,
        submission: str,
        entrypoint: str,
        resources: Mapping[str, float],
        metadata: Mapping[str, str],
        code: Package | None,
    ) -> bool:
        """Hand a job over; whether the code had to be sent."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The exact request, before it is made.

    Attributes:
        recipes: files of the user's own that travel.
        code: what travels; None if the cluster has this code.
        address: None if the cluster is not up.
        has: resources now; None if the cluster is not up.
        could_have: resources after it has grown; None: as now.
    """

    request: Request
    settings: Settings
    recipes: tuple[OwnRecipe, ...]
    address: str | None
    entrypoint: str
    entrypoint_resources: dict[str, float]
    code: Package | None
    has: Capacity | None
    could_have: Mapping[str, float] | None

    def as_json(self) -> dict[str, Any]:
        """The request as `--dry-run` shows it; it holds no token and no password."""
        code = (
            None
            if self.code is None
            else {
                "digest": self.code.digest,
                "files": self.code.files,
                "bytes": self.code.size,
            }
        )
        return {
            "name": self.request.name,
            "cluster": self.request.cluster,
            "address": self.address,
            "entrypoint": self.entrypoint,
            "entrypoint_resources": self.entrypoint_resources,
            "runtime_env": {"working_dir": code} if code else {},
            "command": ["wsol", *self.request.words],
            "recipes": {one.given: one.digest for one in self.recipes},
            "settings": self.settings.model_dump(mode="json"),
            "retries": self.request.retries,
            "time_limit_s": self.request.time_limit_s,
            "needs": self.request.needs,
            "has": self.has and dict(self.has.total),
            "free": self.has and {name: self.has.free(name) for name in self.has.total},
            "could_have": None if self.could_have is None else dict(self.could_have),
        }


def plan(
    command: Command,
    cluster: Cluster,
    name: str,
    *,
    retries: int,
    time_limit_s: float | None,
    api: JobsApi | None,
) -> Plan:
    """The request that a submission would make.

    Args:
        api: of the cluster; None if it is not up, and what it could have is all that is known.

    Raises:
        ConfigError: a place or a server that the cluster cannot see, or a name that is none.
        ResourceError: it can never fit; both numbers are said.
    """
    check_name(name)
    check_sight(command, cluster)
    wanted = needs(command.verb, command.settings)
    has, most = api.capacity() if api else None, cluster.most()
    if has or most:
        check_fits(command.verb, wanted, has.total if has else {}, most, cluster.name)
    travels = isinstance(cluster, Remote) and not cluster.has_code
    code = package() if travels else None
    job = jobs_of(command.settings).job(name)
    words, settings = _with_copies(command, job)
    request = Request(
        name=name,
        words=words,
        resumes=command.resumes,
        cluster=lasting(cluster.given),
        cwd=str(Path.cwd()),
        retries=retries,
        time_limit_s=time_limit_s,
        code=code.digest if code else None,
        recipes={one.given: one.digest for one in command.recipes},
        version=version(),
        needs=wanted,
    )
    return Plan(
        request=request,
        settings=settings,
        recipes=command.recipes,
        address=cluster.submit_address() if api else None,
        entrypoint=entrypoint(job, cluster),
        entrypoint_resources=slot(has) if has else {JOB_SLOT: 1.0},
        code=code,
        has=has,
        could_have=most,
    )


def submit(plan: Plan, api: JobsApi) -> Record:
    """Record a job and hand it to its cluster.

    Raises:
        Conflict: there is a job of that name.
        ClusterError: the cluster did not take it; the record says so.
    """
    jobs = jobs_of(plan.settings)
    recipes = {one.given: one.content for one in plan.recipes}
    job = jobs.create(plan.request, plan.settings.model_dump(mode="json"), recipes)
    return hand_over(job, plan.entrypoint, plan.entrypoint_resources, plan.code, api)


def resume(job: Job, cluster: Cluster, api: JobsApi, *, why: str = "resumed") -> Record:
    """Submit a job that ended without success again, under its name; it continues.

    Raises:
        Conflict: it is not over, or has succeeded.
        IntegrityError: a recipe that came with it was changed.
        ClusterError: the cluster does not answer.
    """
    record = job.read()
    if not record.is_over or record.state is JobState.SUCCEEDED:
        raise Conflict(f"job '{job.name}' is {record.state}; only what ended otherwise is resumed")
    check_unchanged(job, record.request.recipes)
    code = package() if record.request.code else None
    resources = slot(api.capacity())  # first: a cluster that is gone changes nothing

    def again(old: Record) -> Record:
        fresh = old.model_copy(update={"stop_asked": False, "exit_code": None})
        return fresh.moved(JobState.SUBMITTED, why)

    job.change(again)
    return hand_over(job, entrypoint(job, cluster), resources, code, api)


def hand_over(
    job: Job, entry: str, resources: Mapping[str, float], code: Package | None, api: JobsApi
) -> Record:
    """One submission to Ray, under an id that is never used again."""
    submission = f"wsol-{job.name}-{secrets.token_hex(4)}"
    job.change(lambda r: r.model_copy(update={"submissions": (*r.submissions, submission)}))
    try:
        sent = api.submit(submission, entry, resources, {"wsol_job": job.name}, code)
    except BaseException as error:
        job.move(JobState.FAILED, f"not submitted: {error}")
        raise

    def taken(record: Record) -> Record:
        known = record.model_copy(update={"code_sent": sent})
        waits = record.state is JobState.SUBMITTED
        return known.moved(JobState.WAITING, "taken by the cluster") if waits else known

    return job.change(taken)


def _with_copies(command: Command, job: Job) -> tuple[tuple[str, ...], Settings]:
    """The words and settings of a job, with its copies in the place of the user's recipe files."""
    copies = {one.given: shown(job.recipe(one.given)) for one in command.recipes}
    named = tuple(copies.get(name, name) for name in command.settings.pipeline.recipes)
    settings = command.settings.model_copy(
        update={
            "cluster": JOINED,
            "pipeline": command.settings.pipeline.model_copy(update={"recipes": named}),
        }
    )
    return tuple(copies.get(word, word) for word in command.words), settings


def slot(has: Capacity) -> dict[str, float]:
    """Resources that a job takes to start: a slot, so that others wait; none without slots."""
    return {JOB_SLOT: 1.0} if has.total.get(JOB_SLOT) else {}


def entrypoint(job: Job, cluster: Cluster) -> str:
    """The command that the cluster runs, as words of a shell."""
    keeper = ["-m", "orchestrator.jobs.keeper", shown(job.folder)]
    if isinstance(cluster, Remote):
        return shlex.join([cluster.python, *keeper])
    # This very code, wherever the cluster was started.
    return shlex.join(["env", f"PYTHONPATH={_ROOT}", sys.executable, *keeper])


def check_fits(
    verb: str,
    wanted: Mapping[str, float],
    has: Mapping[str, float],
    most: Mapping[str, float] | None,
    cluster: str,
) -> None:
    """Refuse what can never fit.

    Args:
        most: what the cluster can grow to; None: it stays as it is.

    Raises:
        ResourceError: with what is needed and what there can be.
    """
    for kind, amount in wanted.items():
        now_there = has.get(kind, 0.0)
        later = max(now_there, (most or {}).get(kind, 0.0))
        if amount > later:
            grown = f"can grow to {later:g}" if most else f"has {later:g}"
            raise ResourceError(
                f"{verb} needs {amount:g} {kind}, cluster '{cluster}' {grown}; lower "
                f"resources in ray_config.yaml or use a larger cluster"
            )


def check_name(name: str) -> None:
    """Refuse a name that no folder may have.

    Raises:
        ConfigError: with what is allowed.
    """
    if not re.fullmatch(NAME, name):
        raise ConfigError(
            f"--name '{name}': a job is called by 1 to 64 letters, digits, dots, hyphens and "
            "underscores, a letter or digit first"
        )


def default_name(command: Command) -> str:
    """A name that tells what the job does and when it was submitted."""
    stamp = now().replace("-", "").replace(":", "").partition("+")[0].replace("T", "-")
    return f"{command.verb}-{stamp}"


def jobs_of(settings: Settings) -> Jobs:
    """The jobs of a workspace."""
    return Jobs(Workspace(settings.workspace).jobs)


def request_text(plan: Plan) -> str:
    """The request as JSON text."""
    return json.dumps(plan.as_json(), indent=2)
