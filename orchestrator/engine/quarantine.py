"""Share of what was listed that may be left out before the whole is a failure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workloads.errors import InputRejected
from workloads.shards.quarantine import Quarantined, by_kind

MOST_REASONS = 3


def is_enough(listed: int, rejected: int, max_quarantined: float) -> bool:
    """Whether so few images were rejected that the rest is worth having.

    Nothing read is never enough. One image costs only itself, however few there are, unless no
    share at all is allowed.

    Args:
        max_quarantined: share of the listed images, 0 to 1.
    """
    allowed = max(1.0, max_quarantined * listed) if max_quarantined else 0.0
    return rejected < listed and rejected <= allowed


def require_enough(
    path: Path, listed: int, rejected: Sequence[Quarantined], max_quarantined: float
) -> None:
    """Refuse what was made of images of which none, or too few, could be read.

    Args:
        path: the list with all reasons, for advice.
        max_quarantined: as in `is_enough`.

    Raises:
        InputRejected: with the commonest reasons.
    """
    if is_enough(listed, len(rejected), max_quarantined):
        return
    kinds = by_kind(rejected)
    shown = "; ".join(f"{kind.count} x {kind.kind}" for kind in kinds[:MOST_REASONS])
    more = f"; and {len(kinds) - MOST_REASONS} other reasons" if len(kinds) > MOST_REASONS else ""
    first = rejected[0]
    if len(rejected) < listed:
        said = (
            f"{len(rejected)} of {listed} images were quarantined, more than {max_quarantined:.0%}"
        )
        choice = ", or allow a larger share with --max-quarantined"
    else:
        said, choice = f"none of {listed} images could be read", ""
    raise InputRejected(
        f"{said}: {shown}{more}. The first: {first.path or first.image_id}: {first.reason}. "
        f"Mend them and run this again{choice}; all reasons: {path}"
    )
