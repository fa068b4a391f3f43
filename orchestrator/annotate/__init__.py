"""`wsol annotate`: collections of images, each image exactly once."""
