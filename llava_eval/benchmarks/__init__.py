"""Benchmarks: read rows from a source, and turn them into samples by short adapters."""
