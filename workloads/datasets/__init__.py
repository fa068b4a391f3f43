"""Data sets: layouts on disk, read to records."""
