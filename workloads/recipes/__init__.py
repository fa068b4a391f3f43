"""Recipes: the rows of the papers' tables, and what they need to be run."""
