"""Rules of the image benchmarks, under their references' names."""
