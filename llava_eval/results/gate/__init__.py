"""The gate: whether a run is worse than a baseline."""
