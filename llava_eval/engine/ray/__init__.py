"""The engine that works on a Ray cluster.

The driver (this process) hands out batches of questions and is the only writer of the ledger.
Decoding runs in Ray tasks, which Ray itself starts again when a process or a node is lost; models
live in Ray actors, one checkpoint each.

    driver --group--> decode task --frames (object store)--> model actor --results--> driver

Actors, and not Ray Data, because a batch whose worker dies has to be known by name: it is tried
again elsewhere, its samples alone if need be, and the one that kills workers becomes an error in
the ledger. Ray Data knows blocks of rows only, and repeats a lost one without end or fails the
whole pipeline. It was no faster either: 78 s from the start against 65 s (results/ray.md).

``engine`` is what the program sees, ``dispatch`` the loop of a run, ``worker_pool`` the model
workers, ``worker`` what runs in their processes, ``cluster`` Ray itself. ``task``,
``worker_messages`` and ``watchdog`` need no Ray.
"""
