"""Search over trainings: many trials of one recipe, each judged at its own best cut-offs."""
