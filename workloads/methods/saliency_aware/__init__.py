"""Saliency-aware localization: a decoder taught by proposals and a triplet loss."""
