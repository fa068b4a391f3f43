"""The page's boxes.js, asked from Python: under node where it is there, else in a browser."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from browser import browsing
from numpy.typing import NDArray
from page_server import page_files

from orchestrator.serve.api.answers import quantized
from orchestrator.serve.page.page import FOLDER
from workloads.localization.candidates import Maps
from workloads.localization.cutoffs import Cutoffs

NODE = shutil.which("node")
Case = dict[str, Any]
Ask = Callable[[Case], list[dict[str, Any]]]

_ANSWER = """
    const classes = asked.classes.map(({ label, score, scales }) => {
        const raws = scales.map(maps.unpacked);
        const cut = maps.mapsToCut(raws, asked.width, asked.height, asked.cutoffs);
        return { label, score, cut };
    });
    return boxes.locate(classes, asked.width, asked.height, asked.cutoffs);"""
_LOOP = f"""
    const [maps, boxes] = await Promise.all(["maps", "boxes"].map((n) => import(`./${{n}}.js`)));
    const answer = (asked) => {{ {_ANSWER} }};
    const lines = (await import("node:readline")).createInterface({{ input: process.stdin }});
    for await (const line of lines) console.log(JSON.stringify(answer(JSON.parse(line))));"""


def case_of(
    found: list[tuple[int, float, Maps]], width: int, height: int, cutoffs: Cutoffs
) -> Case:
    """A question: boxes of classes (label, score, maps) in an image."""
    classes = [
        {"label": label, "score": score, "scales": [quantized(one).model_dump() for one in maps]}
        for label, score, maps in found
    ]
    chosen = cutoffs.model_dump(mode="json")
    return {"width": width, "height": height, "cutoffs": chosen, "classes": classes}


def as_answered(one: NDArray[np.float32]) -> NDArray[np.float32]:
    """An (h, w) map as precise as an answer holds it."""
    found = quantized(one)
    whole = np.frombuffer(base64.b64decode(found.values), "<u2").astype(np.float64)
    values = found.low + whole * ((found.high - found.low) / 65_535)
    return values.astype(np.float32).reshape(one.shape)


@contextmanager
def page_boxes(folder: Path) -> Iterator[Ask]:
    """Answers questions with what `locate` of boxes.js finds.

    Args:
        folder: for the files of what runs it.
    """
    with in_node(folder) if NODE else in_browser(folder) as ask:
        yield ask


@contextmanager
def in_node(folder: Path) -> Iterator[Ask]:
    for name in ("maps.js", "boxes.js"):
        shutil.copy(FOLDER / name, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "loop.js").write_text(_LOOP)
    with subprocess.Popen(
        [str(NODE), "loop.js"], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(case: Case) -> list[dict[str, Any]]:
            process.stdin.write(json.dumps(case) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask
        process.stdin.close()


@contextmanager
def in_browser(folder: Path) -> Iterator[Ask]:
    script = f"""
        const [asked, done] = arguments;
        const answer = (maps, boxes) => {{ {_ANSWER} }};
        Promise.all([import("/page/maps.js"), import("/page/boxes.js")])
            .then(([maps, boxes]) => done(answer(maps, boxes)));"""
    with page_files() as url, browsing(folder) as browser:
        browser.get(url)
        yield lambda case: browser.execute_async_script(script, case)
