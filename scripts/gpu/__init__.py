"""Stages of the measurements on a GPU."""
