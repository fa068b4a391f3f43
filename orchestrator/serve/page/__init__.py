"""The page of the endpoint: try its models on pictures of one's own, in a browser, offline."""
