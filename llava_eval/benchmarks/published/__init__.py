"""Published scores, each with where it was printed.

``scores.csv`` has a line per score: benchmark family, part of it, metric, unit, model as the source
names it, frames as far as stated or inferred, subtitles, score, kind, source; and what reproduces
it here: the printed text where it ends in a zero that ``score`` lacks, the experiment, its metric.
``kind`` is "published" where the source itself was read, "second-hand" where only somebody's
quotation of it was, and "conflicting" where second-hand sources contradict each other.

``experiments.csv`` has a line per experiment: its protocol, model and recipe (files of
``configs``), and a note that stands beside its published scores.
:mod:`llava_eval.config.experiments` reads both.
"""
