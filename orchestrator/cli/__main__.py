"""`python -m orchestrator.cli` is `wsol`."""

from orchestrator.cli.main import main

main()
