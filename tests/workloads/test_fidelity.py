"""`make fidelity` without a checkout, and the page that it writes."""

import os
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
