"""``llava-eval report``: runs and all their samples in one page that needs nothing else."""
