"""The engine: Ray started or joined, units of work, errors of workers, progress."""
