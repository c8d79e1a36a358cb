"""Helper modules of `scripts/train_demo.py`: a drawn world, its questions, and a tiny model."""

import os

# Threads that sleep while they wait: on a busy machine spinning ones take the others' time.
# OpenMP reads this once, when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
