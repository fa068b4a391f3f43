"""Compare with a checkout of the toolkit `wsolevaluation` that the user has: `make fidelity`.

`WSOLEVALUATION` is the folder of the checkout; without it nothing is compared. The figures go
into docs/fidelity.md, and a difference above its tolerance fails.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from fidelity_rows import END, START, Row, table

PAGE = Path(__file__).with_name("fidelity.md")
PACKAGES = ("torch", "numpy", "opencv-contrib-python-headless")
NEEDED = ("evaluation.py", "inference.py", "wsol/__init__.py")


def compare(checkout: Path) -> list[Row]:
    """All rows; each is said as soon as it is there."""
    import tempfile
    from itertools import chain

    import fidelity_metrics
    import fidelity_networks
    from fidelity_toolkit import load

    toolkit, rows = load(checkout), []
    with tempfile.TemporaryDirectory() as work:
        for row in chain(
            fidelity_metrics.rows(toolkit, Path(work)), fidelity_networks.rows(toolkit)
        ):
            sys.stderr.write(f"{row.name}, {row.what}: {row.difference:.1e}\n")
            rows.append(row)
    return rows


def circumstances(checkout: Path) -> str:
    """When, where and with which versions."""
    import platform
    from datetime import UTC, datetime
    from importlib.metadata import version
    from subprocess import run

    asked = run(["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True)
    at = f" at `{asked.stdout.strip()}`" if asked.returncode == 0 else ""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    machine = f"{os.cpu_count()} cores ({platform.machine()})"
    return f"{datetime.now(UTC):%Y-%m-%d}, {machine}, {packages}; toolkit{at}.\n"


def main() -> int:
    """Compare and write the page; 1 if a difference is above its tolerance."""
    given = os.environ.get("WSOLEVALUATION")
    if not given:
        sys.stdout.write("fidelity: skipped, WSOLEVALUATION names no checkout of wsolevaluation\n")
        return 0
    missing = [name for name in NEEDED if not (Path(given) / name).is_file()]
    if missing:
        sys.stderr.write(f"WSOLEVALUATION={given}: no {missing[0]}; give the checkout's folder\n")
        return 2
    rows = compare(Path(given).resolve())
    measured = table(rows)
    sys.stdout.write(measured)
    before, _, rest = PAGE.read_text().partition(START)
    facts = circumstances(Path(given))
    PAGE.write_text(f"{before}{START}{facts}\n{measured}{END}{rest.partition(END)[2]}")
    return int(not all(row.within for row in rows))


if __name__ == "__main__":
    sys.exit(main())
