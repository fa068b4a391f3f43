"""Methods: what is trained, and the maps that come of it."""
