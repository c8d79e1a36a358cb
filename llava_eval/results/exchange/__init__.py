"""Files of other programs: generated texts, exported runs, and submissions to servers."""
