"""`wsol sweep`: every training of a plan from every seed, and how they compare."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestrator.config.settings import Settings
from orchestrator.config.workspace import SweepPaths
from orchestrator.engine.claims import REQUEST, Verb, claim
from orchestrator.engine.connect import connect
from orchestrator.plans.prepare import needs, prepare
from orchestrator.plans.report import report_plan
from orchestrator.plans.spec import PlanSpec, outcomes, plan_spec
from orchestrator.sweep.sweep import refuse_started, try_all
from orchestrator.sweep.tracked import tracked
from orchestrator.sweep.trials import Trials
from orchestrator.tracking.tracker import Tracker
from workloads.artifacts import exists, finite, write_json
from workloads.comparison.plan import Plan
from workloads.comparison.summary import Spread, table, verdicts
from workloads.errors import WsolError

VERB = Verb("sweep", "a plan's trials", "choose another --name or remove the folder")
REQUESTED = {"trials": "of a plan"}
"""Said of a folder; not which plan it is, so that one can be edited."""


@dataclass(frozen=True, slots=True)
class PlanResult:
    """A finished plan.

    Attributes:
        left: trials that did not end, since time was up.
        table: for each data set and reading the number of seeds, and of each metric the mean and
            the standard deviation over them (N - 1), on the test split.
        claims: what became of each, see `Verdict`.
        errors: of the trials that failed.
        seconds: of all trials together.
    """

    sweep: str
    finished: int
    failed: int
    left: int
    table: list[dict[str, Any]]
    claims: list[dict[str, Any]]
    errors: list[str]
    seconds: float
    folder: Path
    report: Path


def sweep_plan(
    settings: Settings,
    plan: Plan,
    paths: SweepPaths,
    *,
    resume: bool = False,
    tracker: Tracker | None = None,
) -> PlanResult:
    """Train and measure all that a plan says, as many trials at once as fit.

    Killed at any moment and continued, finished trials are kept, and unfinished ones go on from
    their last checkpoint. Failed ones are tried again. An edited plan repeats what it touches;
    results of trials that are not in it any more are left alone.

    Raises:
        ConfigError, NotFound: something is wrong in the plan; nothing is started.
        Conflict: the name is that of a finished or unfinished plan and `resume` is false, or of
            something else; or another process works there.
        WsolError: more trials failed than may, or none finished.
    """
    settings.check_tracking()
    needs(settings, plan)
    begun = exists(paths.folder / REQUEST)
    refuse_started(paths, "an edited plan: --resume", begun=begun, resume=resume)
    with claim(paths.folder, REQUESTED, VERB), connect(settings):
        spec = plan_spec(settings, plan, prepare(settings, plan, paths.folder))
        own = spec.paths(paths)
        _try_failed_again(Trials(own))
        with tracked(tracker or Tracker(settings), spec, own):
            try_all(settings, spec, spec, own)
            result = _result(spec, own)
            report_plan(spec, result.table, result.claims, own)
        write_json(own.result, plain_plan_result(result))
    return result


def _try_failed_again(trials: Trials) -> None:
    """A trial of a plan does not fail of its point in a space: the reason may be gone now."""
    for trial in trials.read().values():
        if trial.state == "failed":
            trials.write(trial.model_copy(update={"state": "begun", "error": None}))


def _result(spec: PlanSpec, paths: SweepPaths) -> PlanResult:
    trials = Trials(paths).read()
    found = outcomes(trials)
    failed = [trial for trial in trials.values() if trial.state == "failed"]
    if not found:
        raise WsolError(f"sweep '{paths.name}': no trial finished; see {paths.folder}/trials")
    return PlanResult(
        sweep=paths.name,
        finished=len(found),
        failed=len(failed),
        left=len(spec.plan.trials()) - len(found) - len(failed),
        table=[_plain(row) for row in table(spec.plan, found)],
        claims=[finite(asdict(verdict)) for verdict in verdicts(spec.plan, found)],
        errors=[f"{paths.record(trial.number).stem}: {trial.error}" for trial in failed],
        seconds=round(sum(trial.seconds for trial in trials.values()), 1),
        folder=paths.folder,
        report=paths.report,
    )


def plain_plan_result(result: PlanResult) -> dict[str, Any]:
    """As JSON."""
    return {**asdict(result), "folder": str(result.folder), "report": str(result.report)}


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row as JSON."""
    return {name: finite(asdict(v)) if isinstance(v, Spread) else v for name, v in row.items()}
