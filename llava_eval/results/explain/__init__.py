"""Explanations of a run's number."""
