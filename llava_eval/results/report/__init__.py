"""The report: one HTML page with runs and all their samples."""
