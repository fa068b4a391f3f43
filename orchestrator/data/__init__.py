"""`wsol data`: make an embedded data set, inspect shards."""
