"""Models: load a checkpoint, build its inputs, generate in batches.

Nothing here knows which benchmark is asked.
"""
