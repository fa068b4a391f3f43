"""Self-contained HTML pages: what all of them share, and a folder for each."""
