"""The face of the library, and the programs of docs/library.md."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
from contextlib import chdir, redirect_stdout
from pathlib import Path

import pytest

import workloads

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = re.findall(
    r"^## ([^\n]*)\n.*?^```python\n(.*?)^```",
    (ROOT / "docs" / "library.md").read_text(encoding="utf-8"),
    re.DOTALL | re.MULTILINE,
)


def run(code: str, folder: Path) -> str:
    """What a program prints that is run in a folder."""
    said = io.StringIO()
    with chdir(folder), redirect_stdout(said):
        exec(compile(code, "docs/library.md", "exec"), {"__name__": "__main__"})
    return said.getvalue()


@pytest.mark.parametrize("code", [code for _, code in PROGRAMS], ids=[t for t, _ in PROGRAMS])
def test_a_program_of_the_page_runs(code: str, tmp_path: Path) -> None:
    assert run(code, tmp_path).strip()


def test_from_images_to_boxes_takes_a_dozen_lines() -> None:
    (_, code), *_ = PROGRAMS
    body = ast.parse(code).body
    assert len([node for node in body if not isinstance(node, ast.ImportFrom)]) <= 12


def test_the_metrics_of_a_perfect_map_are_one(tmp_path: Path) -> None:
    program = next(code for title, code in PROGRAMS if title.startswith("Metrics"))
    assert ast.literal_eval(run(program, tmp_path)) == {
        "gt_known": 1.0, "max_box_acc_v2": 1.0, "pointing": 1.0,
    }  # fmt: skip


@pytest.mark.parametrize("name", workloads.__all__)
def test_every_name_of_the_face_is_there(name: str) -> None:
    thing = getattr(workloads, name)
    assert name in dir(workloads)
    assert getattr(thing, "__module__", "workloads").startswith("workloads")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = workloads.trian


def test_the_face_itself_is_light() -> None:
    code = "import sys, workloads; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_type_checkers_see_what_is_imported_late() -> None:
    source = (ROOT / "workloads" / "__init__.py").read_text(encoding="utf-8")
    seen = {
        (alias.name, str(node.module).removeprefix("workloads."))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("workloads.")
        for alias in node.names
    }
    assert seen == set(workloads._HOMES.items())
    assert sorted(workloads.__all__) == sorted(workloads._HOMES)
