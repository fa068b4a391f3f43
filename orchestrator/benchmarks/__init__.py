"""Benchmarks that run whole verbs."""
