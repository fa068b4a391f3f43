"""Variables of the environment that say where settings come from."""

from __future__ import annotations

CONFIG_VARIABLE = "WSOL_CONFIG"
TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
