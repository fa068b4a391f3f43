"""Everything that knows Ray or MLflow: one module per verb, and the command line `wsol`."""

import os

# Before anything imports Ray: afterwards it would start without its token.
os.environ.setdefault("RAY_AUTH_MODE", "token")
# A Ray that we start: Serve's controller looks for work ten times a second, and its processes
# export metrics as often, which takes 2 % of two cores from the models.
os.environ.setdefault("RAY_SERVE_CONTROL_LOOP_INTERVAL_S", "0.5")
os.environ.setdefault("RAY_SERVE_METRICS_EXPORT_INTERVAL_MS", "2000")
