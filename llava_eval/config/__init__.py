"""Configuration: the typed schema, Hydra composition, and one-line errors for mistakes."""
