"""Stored predictions: the scores and maps of a split, made once."""
