"""Scorers: what one generation (or, for captions, a set of them) is worth.

A scorer judges samples; a metric makes a number of many scores. Scorers never see a generation
that failed: the pipeline records those as errors.
"""
