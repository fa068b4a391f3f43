"""Training: loader, augmentation, one epoch, a whole run, its checkpoints."""
