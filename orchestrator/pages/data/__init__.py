"""The page of `wsol data inspect`."""
