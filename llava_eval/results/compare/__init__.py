"""``llava-eval compare``: runs of the same questions held against each other."""
