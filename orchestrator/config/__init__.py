"""Configuration: the typed settings, the names in them, the paths of a workspace."""
