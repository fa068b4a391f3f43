"""Annotation of image folders: the listing, its chunks, the part of each chunk."""
