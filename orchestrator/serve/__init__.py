"""`wsol serve`: the HTTP endpoint and its replicas on Ray Serve."""
