"""From maps to boxes and points, all cut-offs in one pass."""
