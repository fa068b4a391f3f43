"""Decide whether a candidate becomes champion, move the alias, and keep why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from orchestrator.config.settings import Settings
from orchestrator.promotion.candidate import Candidate, find_candidate
from orchestrator.promotion.evidence import (
    Evidence,
    evidence_json,
    evidence_text,
    gather_evidence,
)
from orchestrator.tracking.registry import (
    MAX_VERSION_TAG,
    ModelVersion,
    alias_version,
    fetch_model,
    set_champion,
    tag_version,
)
from workloads.metrics.registry import METRICS
from workloads.shards.shards import Shards

PROMOTION_TAG = "wsol.promotion"
# Shown beside the metric that decides, so that a gain in one is not paid for in another unseen.
BESIDE = ("box_f1", "gt_known", "pointing", "classification_map")


class Decision(StrEnum):
    """The outcome of a comparison."""

    FIRST = "first"  # there was no champion
    SAME = "same"  # it is the champion
    BETTER = "better"
    FORCED = "forced"
    NOT_BETTER = "not better"

    @property
    def moves(self) -> bool:
        return self in (Decision.FIRST, Decision.BETTER, Decision.FORCED)


@dataclass(frozen=True, slots=True)
class PromotionResult:
    """A decision with its evidence.

    Attributes:
        candidate, champion: as NAME/VERSION, or as the user named it before it is registered;
            the champion is the one before the decision, None without one.
        moved: whether the alias points at the candidate now because of this.
        dry_run: nothing was registered, moved or written.
        evidence: as `evidence_json` has it; None where nothing had to be compared.
    """

    candidate: str
    champion: str | None
    alias: str
    decision: Decision
    moved: bool
    dry_run: bool
    evidence: dict[str, Any] | None


def promote(
    settings: Settings,
    given: str,
    shards: Shards,
    split: str,
    metric: str,
    *,
    force: bool = False,
    dry_run: bool = False,
) -> PromotionResult:
    """Compare a candidate with the champion on a split, and let the better one stand.

    A candidate is better if the whole interval of its difference lies on its side. What was
    decided, and why, becomes the tag `wsol.promotion` of its version, also if it was refused.

    Args:
        given, split: as `find_candidate` and `gather_evidence` take them.
        metric: a name of `METRICS`; it decides.
        force: move the alias whatever the comparison says.
        dry_run: only say what would be done.

    Raises:
        ConfigError: an unknown metric, other classes, or no case to measure.
        NotFound: no such candidate, or no such split.
        ClusterError: MLflow fails.
    """
    names = list(dict.fromkeys((METRICS[metric].name, *BESIDE)))
    registry = settings.registry
    candidate = find_candidate(settings, given, registry.model)
    champion = alias_version(settings, candidate.name, registry.alias)
    evidence = None
    if champion is not None and champion.digest != candidate.model.digest:
        old = fetch_model(settings, champion.reference)
        evidence = gather_evidence(
            settings, old, candidate.model, shards, split, settings.evaluate, names
        )
    decision = _decision(champion, evidence, force)
    facts = None if evidence is None else evidence_json(evidence)
    version = None if dry_run else _carried_out(settings, candidate, champion, decision, facts)
    return PromotionResult(
        candidate=version.reference if version else given,
        champion=champion.reference if champion else None,
        alias=f"{candidate.name}@{registry.alias}",
        decision=decision,
        moved=version is not None and decision.moves,
        dry_run=dry_run,
        evidence=facts,
    )


def _decision(champion: ModelVersion | None, evidence: Evidence | None, force: bool) -> Decision:
    if evidence is None:
        return Decision.FIRST if champion is None else Decision.SAME
    if evidence.decisive.is_better:
        return Decision.BETTER
    return Decision.FORCED if force else Decision.NOT_BETTER


def _carried_out(
    settings: Settings,
    candidate: Candidate,
    champion: ModelVersion | None,
    decision: Decision,
    facts: dict[str, Any] | None,
) -> ModelVersion:
    """Register the candidate, write the tag, and then move the alias."""
    if decision is Decision.SAME and champion is not None:
        return champion
    version = candidate.registered(settings)
    record = {
        "decision": decision,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "champion": champion.reference if champion else None,
        "metrics": {},
        "metric": None,
        **(facts or {}),
    }
    tag_version(settings, version, PROMOTION_TAG, evidence_text(record, MAX_VERSION_TAG))
    if decision.moves:
        set_champion(settings, version.name, version.version, settings.registry.alias)
    return version
