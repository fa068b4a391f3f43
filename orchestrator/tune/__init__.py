"""`wsol tune`: the search of a run's cut-offs on stored maps."""
