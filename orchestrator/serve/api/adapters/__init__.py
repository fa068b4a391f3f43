"""Interfaces that other programs speak already, over the same models."""
