"""Bency et al.: beam search over sub-grids of the last feature map."""
