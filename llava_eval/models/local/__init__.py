"""Models that are loaded in this process."""
