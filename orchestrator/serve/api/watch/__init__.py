"""Observes requests: a trace of each, metrics, the access log."""
