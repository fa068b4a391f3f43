"""Oquab et al.: max-pooling over a scan of the image at several scales."""
