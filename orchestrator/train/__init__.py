"""`wsol train`: what a training is, its initial weights, Ray Train and its workers."""
