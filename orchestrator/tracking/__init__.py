"""MLflow: runs and their events, and the registry of models."""
