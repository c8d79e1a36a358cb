"""Configuration: the typed schema, composition with Hydra, and one-line errors for mistakes."""
