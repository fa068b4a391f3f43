"""`wsol jobs`: what became of submitted jobs, and how to steer them."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import ConfigOption, OutputOption, SetOption, group, read_settings
from orchestrator.cli.output import Output, emit, facts_table, make_table, note
from workloads.errors import EXIT_INTERRUPTED, EXIT_TIMED_OUT

if TYPE_CHECKING:
    from clusters.base import Cluster
    from orchestrator.jobs.record import Job, Jobs, Record, Request
    from orchestrator.jobs.states import JobState

app = group("Jobs on clusters: list, status, logs, stop, resume, wait, delete.")
NameArgument = Annotated[str, typer.Argument(help="The job's name.")]


@app.command("list")
def list_jobs(
    context: typer.Context,
    state: Annotated[
        list[str] | None,
        typer.Option(help="Of this state alone; repeat for more.", show_default=False),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option("--cluster", metavar="NAME|FILE", help="On this cluster.", show_default=False),
    ] = None,
    verb: Annotated[
        str | None, typer.Option(metavar="VERB", help="Of this verb.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 50,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show jobs, newest last; also when their cluster is gone."""
    from clusters.cluster import lasting

    states = [_state(text) for text in state or []]
    jobs = _jobs(context, config, overrides)
    found = [
        record
        for record in _refreshed(jobs, list(jobs.read_all()))
        if (not states or record.state in states)
        and (on is None or record.request.cluster == lasting(on))
        and (verb is None or record.request.words[0] == verb)
    ][-limit:]
    rows = [_summary(record) for record in found]
    columns = ("job", "state", "command", "cluster", "attempts", "submitted", "took", "reason")
    emit(rows, output, lambda: make_table(columns, [[row[c] for c in columns] for row in rows]))


@app.command()
def status(
    context: typer.Context,
    name: NameArgument,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show one job: its state, what it waits for, its history."""
    jobs = _jobs(context, config, overrides)
    record = _refreshed(jobs, [jobs.job(name).read()])[0]
    facts = {**record.model_dump(mode="json"), **_summary(record)}
    facts["waits_for"] = _waits_for(jobs, record)
    facts["alive"] = _alive(jobs.job(name), record)
    emit(facts, output, lambda: _shown(facts))


@app.command()
def logs(
    context: typer.Context,
    name: NameArgument,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until it is over; Ctrl-C detaches.")
    ] = False,
    tail: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="The last N lines.", show_default=False)
    ] = None,
    rank: Annotated[
        int | None,
        typer.Option(metavar="R", min=0, help="Of this training worker.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Print what a job said."""
    from orchestrator.jobs.logs import DRIVER, LogReader, last_lines, of_rank, sources
    from workloads.errors import NotFound

    job = _jobs(context, config, overrides).job(name)
    record = job.read()
    source = DRIVER if rank is None else of_rank(rank)
    there = sources(job.logs)
    if source not in there and (record.is_over or rank is not None):
        raise NotFound(
            f"job '{name}' has no log of {source} (there are: {', '.join(there) or '-'})"
        )
    reader, show = LogReader(job.logs, source), printer()
    if tail is not None:
        text, reader = last_lines(job.logs, source, tail)
        show(text)
    if follow:
        watch(job, show=show, reader=reader)
        return
    for data in reader.new():
        show(data)


@app.command()
def stop(
    context: typer.Context,
    name: NameArgument,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Stop a job: at once if it waits, after its last checkpoint if it runs.

    A job that is over stays as it is.
    """
    from orchestrator.jobs.stop import stop as work

    job = _jobs(context, config, overrides).job(name)
    before = job.read()
    if before.is_over:
        note(f"job '{name}' is over already: {before.state}")
    record = work(job, lambda: _connect(before), say=lambda line: note(f"wsol: {line}"))
    facts = {"job": name, "state": record.state.value, "reason": record.last.reason}
    if not record.is_over:
        facts["reason"] = f"told to stop; see wsol jobs wait {name}"
    emit(facts, output, lambda: facts_table(facts))


@app.command()
def resume(
    context: typer.Context,
    name: NameArgument,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Submit a job that did not succeed again, under its name; it goes on where it was."""
    from orchestrator.jobs.submit import resume as work

    jobs = _jobs(context, config, overrides)
    job = jobs.job(name)
    before = _refreshed(jobs, [job.read()])[0]
    record = work(job, _cluster_of(before), _connect(before))
    facts = {"job": name, "state": record.state.value, "follow": f"wsol jobs logs -f {name}"}
    emit(facts, output, lambda: facts_table(facts))


@app.command()
def wait(
    context: typer.Context,
    name: NameArgument,
    timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="Give up waiting then, with exit code 11; the job goes on.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Wait until a job is over; ends with the job's own exit code."""
    job = _jobs(context, config, overrides).job(name)
    job.read()
    end_with(watch(job, timeout_s=timeout), output)


@app.command()
def delete(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(help="Jobs that are over.")],
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Remove the record and the logs of jobs that are over, not what they made."""
    from workloads.errors import WsolError

    jobs = _jobs(context, config, overrides)
    for name in names:
        record = jobs.job(name).read()
        jobs.delete(name)
        try:
            api = _connect(record)
            for submission in record.submissions:
                api.forget(submission)
        except WsolError:  # the cluster is gone, and with it what it kept
            pass
        note(f"job '{name}' deleted")


def watch(
    job: Job,
    *,
    show: Callable[[bytes], None] | None = None,
    timeout_s: float | None = None,
    reader: Any = None,
) -> Record | None:
    """Follow a job until it is over; None if the time was over first.

    Raises:
        typer.Exit: code 130: the user has left; the job goes on.
    """
    from orchestrator.jobs.follow import Watch, follow
    from orchestrator.jobs.submit import resume as submit_again

    first = job.read()

    def revive(record: Record) -> Record:
        note(f"job '{job.name}': {record.last.reason}; submitted again")
        return submit_again(job, _cluster_of(record), _connect(record), why=record.last.reason)

    how = Watch(
        connect=partial(_connect, first),
        take=show,
        reader=reader,
        revive=revive,
        timeout_s=timeout_s,
    )
    try:
        return follow(job, how)
    except KeyboardInterrupt:
        note(f"detached; the job goes on. Come back: wsol jobs logs -f {job.name}")
        raise typer.Exit(EXIT_INTERRUPTED) from None


def end_with(record: Record | None, output: Output) -> None:
    """Answer with the end of a job, and end with its exit code.

    Raises:
        typer.Exit: always.
    """
    from orchestrator.jobs.states import exit_code

    if record is None:
        note("not over yet; the job goes on")
        raise typer.Exit(EXIT_TIMED_OUT)
    row = _summary(record)
    emit(row, output, lambda: facts_table(row))
    raise typer.Exit(exit_code(record.state, record.exit_code))


def _jobs(context: typer.Context, config: Any, overrides: Any) -> Jobs:
    from orchestrator.jobs.submit import jobs_of

    return jobs_of(read_settings(context, config, overrides))


def _cluster_of(record: Record) -> Cluster:
    from clusters.cluster import load_cluster

    return load_cluster(record.request.cluster)


def _connect(record: Record) -> Any:
    from orchestrator.cli.submit import connect

    return connect(_cluster_of(record))


def _refreshed(jobs: Jobs, records: list[Record]) -> list[Record]:
    """Records with what their clusters say; clusters that do not answer change nothing."""
    from orchestrator.jobs.reconcile import refresh
    from workloads.errors import WsolError

    known: dict[str, Any] = {}
    found: list[Record] = []
    for record in records:
        cluster = record.request.cluster
        if record.is_over:
            found.append(record)
            continue
        if cluster not in known:
            try:
                known[cluster] = _connect(record).known()
            except WsolError as error:
                note(f"wsol: {error}; shown is what was last heard")
                known[cluster] = None
        found += [record] if known[cluster] is None else refresh(jobs, [record], known[cluster])
    return found


def _waits_for(jobs: Jobs, record: Record) -> str | None:
    from clusters.base import JOB_SLOT
    from orchestrator.jobs.reconcile import waits_for
    from orchestrator.jobs.states import NOT_STARTED
    from workloads.errors import WsolError

    if record.state not in NOT_STARTED:
        return None
    try:
        capacity = _connect(record).capacity()
    except WsolError:
        return None
    others = [r for r in jobs.read_all() if r.request.cluster == record.request.cluster]
    return waits_for(record, capacity, JOB_SLOT, others)


def _alive(job: Job, record: Record) -> str | None:
    from workloads.storage.storage import storage_of

    if record.is_over:
        return None
    try:
        with storage_of(job.heartbeat).open(job.heartbeat) as stream:
            return stream.read().decode()
    except FileNotFoundError:
        return None


def _summary(record: Record) -> dict[str, Any]:
    return {
        "job": record.name,
        "state": record.state.value,
        "command": "wsol " + " ".join(as_typed(record.request)),
        "cluster": record.request.cluster,
        "attempts": record.attempt,
        "submitted": record.submitted,
        "took": _took(record),
        "exit_code": record.exit_code,
        "tracking_run": record.tracking_run,
        "reason": record.last.reason,
    }


def as_typed(request: Request) -> list[str]:
    """The words as they were typed."""
    from orchestrator.jobs.record import Job

    copies = {Job(Path(request.name)).recipe(given).parts: given for given in request.recipes}
    words = request.words[:-2] if request.words[-2:] == ("-o", "json") else request.words
    return [copies.get(Path(word).parts[-3:], word) for word in words]


def _took(record: Record) -> str | None:
    """Hours, minutes and seconds from the first start to the end, or to now."""
    from datetime import datetime

    from orchestrator.jobs.record import now

    started = next((t.time for t in record.transitions if t.attempt), None)
    if started is None:
        return None
    end = record.last.time if record.is_over else now()
    seconds = int((datetime.fromisoformat(end) - datetime.fromisoformat(started)).total_seconds())
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _shown(facts: dict[str, Any]) -> Any:
    from rich.console import Group

    names = (
        "job",
        "state",
        "reason",
        "waits_for",
        "command",
        "cluster",
        "attempts",
        "submitted",
        "took",
        "alive",
        "exit_code",
        "tracking_run",
    )
    steps = [(t["time"], t["state"], t["attempt"], t["reason"]) for t in facts["transitions"]]
    return Group(
        facts_table({name: facts[name] for name in names if facts.get(name) is not None}),
        "",
        make_table(("time", "state", "attempt", "reason"), steps),
    )


def _state(text: str) -> JobState:
    from orchestrator.jobs.states import JobState
    from workloads.errors import ConfigError, unknown_name

    try:
        return JobState(text)
    except ValueError:
        raise ConfigError(f"--state: {unknown_name('state', text, list(JobState))}") from None


def printer() -> Callable[[bytes], None]:
    """Writes pieces of a log to stdout; a letter may be cut between two of them."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def print_piece(data: bytes) -> None:
        sys.stdout.write(decoder.decode(data))
        sys.stdout.flush()

    return print_piece
