"""Search on stored maps: every cut-off in one pass, without running a network."""
