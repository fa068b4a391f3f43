"""Everything that knows Ray or MLflow: one module per verb, and the command line `wsol`."""
