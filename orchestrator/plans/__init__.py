"""`wsol sweep`: recipes times data sets times seeds, as a plan says."""
