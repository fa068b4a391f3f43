"""Measurements of speed, each against a baseline, with a check that both find the same."""
