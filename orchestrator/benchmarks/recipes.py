"""Every recipe in miniature: does each row of the papers' tables still run from end to end?"""

from __future__ import annotations

import time

from orchestrator.config.settings import load_settings
from orchestrator.engine.connect import connect
from orchestrator.engine.progress import Progress
from orchestrator.pipeline.reproduce import DIGITS, reproduce
from workloads.benchmarks.extent import Extent
from workloads.errors import WsolError
from workloads.recipes.load import load_recipe, recipe_names


def run_recipes(extent: Extent = "usual") -> dict[str, object]:
    """A campaign of an hour (quick: one row): every row that can run, from made digits on.

    Each is reproduced at scale smoke, to its numbers.

    A row that was finished before is not repeated, so a bench that was stopped goes on.

    Returns:
        `failed`: recipe to its error; `seconds`: recipe to the time that it took this time.
    """
    settings = load_settings()
    names = [name for name in recipe_names() if load_recipe(name).published]
    names = names[:1] if extent == "quick" else names
    failed: dict[str, str] = {}
    seconds: dict[str, float] = {}
    with connect(settings), Progress(len(names), "recipes", "reproduce") as progress:
        for name in names:
            started = time.monotonic()
            try:
                reproduce(settings, name, DIGITS, "smoke")
            except WsolError as error:
                failed[name] = str(error)
            seconds[name] = round(time.monotonic() - started, 1)
            progress.advance(1)
    return {
        "name": "recipes",
        "recipes": len(names),
        "passed": len(names) - len(failed),
        "failed": failed,
        "slowest_s": max(seconds.values()),
        "seconds": seconds,
    }
