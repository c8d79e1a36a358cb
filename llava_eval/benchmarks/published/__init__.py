"""Published scores, each with where it was printed: ``scores.csv``.

``kind`` is "published" where the source itself was read, "second-hand" where only somebody's
quotation of it was, and "conflicting" where second-hand sources contradict each other. Columns:
benchmark family, part of it, metric, unit, model as the source names it, frames as far as stated or
inferred, subtitles, score, kind, source.
"""
