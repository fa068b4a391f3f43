"""The command line answers at once: heavy packages are imported only where they are needed."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys

HEAVY = ("ray", "torch", "torchvision", "mlflow", "sklearn", "matplotlib")
# Runs commands in turn; prints what each ended with and what was imported by then.
PROBE = """
import json, sys
from orchestrator.cli.main import main
for words in {commands!r}:
    try:
        main(words)
    except SystemExit as end:
        loaded = [name for name in {heavy!r} if name in sys.modules]
        print(json.dumps([words, end.code, loaded]), file=sys.stderr)
"""
LIGHT = (
    ["--help"],
    ["--version"],
    [],
    ["list"],
    ["list", "clusters", "-o", "json"],
    ["list", "datasets"],
    ["config", "show"],
    ["config", "schema"],
    ["jobs", "list"],
    ["submit", "--dry-run", "--", "train", "digits-cam-tiny", "--shards", "shards"],
)

VERBS = (
    ["run"],
    ["ingest"],
    ["train"],
    ["evaluate"],
    ["tune"],
    ["sweep"],
    ["register"],
    ["promote"],
    ["annotate"],
    ["export"],
    ["review"],
    ["serve"],
    ["detect"],
    ["keys"],
    ["keys", "add"],
    ["keys", "list"],
    ["keys", "revoke"],
    ["sync"],
    ["list"],
    ["config"],
    ["config", "show"],
    ["config", "validate"],
    ["config", "schema"],
    ["data"],
    ["data", "make"],
    ["data", "inspect"],
    ["doctor"],
    ["bench"],
)


def probe(*commands: list[str]) -> str:
    """Stdout of commands that end with 0 and import nothing heavy."""
    code = PROBE.format(commands=list(commands), heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said = done.stderr.splitlines()  # also what commands note
    ends = [json.loads(line) for line in said if line.startswith("[[")]
    assert ends == [[words, 0, []] for words in commands]
    return done.stdout


def test_light_commands_import_nothing_heavy():
    assert probe(*LIGHT)


def test_every_verb_has_help():
    said = probe(*([*words, "--help"] for words in VERBS))
    assert "\x1b" not in said
    usages = re.findall(r"Usage: wsol (.*?) \[OPTIONS\]", said)
    assert usages == [" ".join(words) for words in VERBS]


def test_help_takes_less_than_a_second():
    def cpu_s() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = cpu_s()
    probe(["--help"])
    assert cpu_s() - before < 1.0  # not by the clock: other tests share the cores


def test_the_version_is_that_of_the_project():
    from orchestrator.provenance import version

    assert probe(["--version"]) == f"wsol {version()}\n"
