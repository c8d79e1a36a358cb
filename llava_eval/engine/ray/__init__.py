"""The engine that runs on a Ray cluster.

The driver (this process) distributes batches of questions and is the only writer of the ledger.
Decoding runs in Ray tasks, which Ray itself restarts when a process or a node is lost; models run
in Ray actors, each with its own copy of the checkpoint.

    driver --group--> decode task --frames (object store)--> model actor --results--> driver

Actors are used instead of Ray Data because the batch whose worker dies must be identified: it is
retried elsewhere, its samples one by one if necessary, and a sample that kills workers becomes an
error in the ledger. Ray Data knows only blocks of rows, and repeats a lost block endlessly or fails
the whole pipeline. It was not faster either: 78 s from the start against 65 s (results/ray.md).

``engine`` is the interface to the program, ``dispatch`` the loop of a run, ``worker_pool`` manages
the model workers, ``worker`` is the code in their processes, ``cluster`` starts or joins Ray.
``task``, ``worker_messages`` and ``watchdog`` do not need Ray.
"""
