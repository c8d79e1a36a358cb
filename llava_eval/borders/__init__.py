"""Readers of external input, in one place: they limit its size, depth, types and time."""
