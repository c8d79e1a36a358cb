"""Two or more runs of the same questions, compared sample by sample."""
