"""Backbones: from an image to a map of features."""
