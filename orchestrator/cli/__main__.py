"""`python -m orchestrator.cli` is `wsol`."""

from orchestrator.cli import main

main()
