"""Recipes times data sets times seeds: which does better, and by how much more than chance?

`plan` reads what a user wants compared; `measure` reads trained weights and measures them, each
at its own best cut-offs; `summary` puts trials together. `plan.yaml` is the project's own: does
each idea do what its paper says, at one budget, on made digits?
"""
