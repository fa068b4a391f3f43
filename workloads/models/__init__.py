"""Model versions: weights, card and thresholds in one folder, and what runs them."""
