"""One HTML page with runs and all their samples."""
