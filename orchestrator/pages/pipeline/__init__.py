"""The report of `wsol run`."""
