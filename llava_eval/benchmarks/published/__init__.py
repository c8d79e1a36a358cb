"""Published scores, each with its source.

``scores.csv`` has a row per score: benchmark family, part of it, metric, unit, the source's name of
the model, frames as far as stated or inferred, subtitles, score, kind, source; then, to reproduce
it here: the printed text if it ends in a zero that ``score`` lacks, the experiment, and our metric.
``kind`` is "published" if the source itself was read, "second-hand" if only a quotation of it was
read, and "conflicting" if second-hand sources contradict each other.

``experiments.csv`` has a row per experiment: its protocol, model and recipe (files of ``configs``),
and a note that is shown beside its published scores. :mod:`llava_eval.config.experiments` reads
both files.
"""
