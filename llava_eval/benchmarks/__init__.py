"""Benchmarks: rows from a source, turned into samples by short adapters."""
