"""Comparisons of two or more runs of the same questions, sample by sample."""
