"""Metrics: one number with its uncertainty from many scores.

A metric is a function ``(results, *, parameters) -> MetricValue`` named in a protocol's file. It
receives the results of all samples of the set (or of one level of a facet), including failed ones.
"""
