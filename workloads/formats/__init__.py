"""Export formats of annotations."""
