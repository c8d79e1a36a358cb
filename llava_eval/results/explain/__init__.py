"""Explanations of a run's score."""
