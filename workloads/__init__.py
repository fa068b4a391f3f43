"""Everything that knows images and networks; a plain library without Ray or MLflow."""
