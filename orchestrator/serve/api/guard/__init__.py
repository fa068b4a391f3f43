"""Keeps requests within limits: keys, rates, bytes, time, and what may be fetched."""
