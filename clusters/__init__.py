"""Clusters: places where verbs run. Resources only, no hyperparameters."""
