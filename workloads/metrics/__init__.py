"""Metrics: accumulators over stored predictions that can be merged."""
