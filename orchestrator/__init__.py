"""Everything that knows Ray or MLflow: one module per verb, and the command line `wsol`."""

import os

# Before anything imports Ray: afterwards it would start without its token.
os.environ.setdefault("RAY_AUTH_MODE", "token")
