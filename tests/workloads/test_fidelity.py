"""`make fidelity` without a checkout, and the page that it writes."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs" / "fidelity.py"


def run(**variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "WSOLEVALUATION"}
    return subprocess.run(
        [sys.executable, str(SCRIPT)],
        env={**environment, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_checkout_it_says_in_one_line_that_it_is_skipped():
    done = run()
    assert done.returncode == 0, done.stderr
    assert "skipped" in done.stdout
    assert done.stdout.count("\n") == 1


def test_a_folder_without_the_toolkit_is_refused_and_the_page_stays(tmp_path):
    page = SCRIPT.with_name("fidelity.md").read_bytes()
    done = run(WSOLEVALUATION=str(tmp_path))
    assert done.returncode == 2
    assert str(tmp_path) in done.stderr
    assert SCRIPT.with_name("fidelity.md").read_bytes() == page


def rows_module():
    spec = importlib.util.spec_from_file_location("rows", SCRIPT.with_name("fidelity_rows.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_measured_row_is_within_its_tolerance():
    rows = rows_module().parsed(SCRIPT.with_name("fidelity.md").read_text())
    assert len(rows) > 40
    assert {row.name.split(",")[0] for row in rows} >= {"CAM", "ACoL", "SPG", "HaS", "PxAP"}
    for row in rows:
        assert row.within, row


def test_nothing_that_differs_too_much_or_is_no_number_is_within():
    row = rows_module().Row("a", "b", 1e-3, 1e-2)
    assert row.within
    assert not row._replace(difference=2e-2).within
    assert not row._replace(difference=float("nan")).within


def test_the_tests_that_the_page_names_exist():
    named = re.findall(r"`(tests/\S+\.py)::(\w+)`", SCRIPT.with_name("fidelity.md").read_text())
    assert named
    for path, test in named:
        assert f"def {test}(" in (ROOT / path).read_text(), test
