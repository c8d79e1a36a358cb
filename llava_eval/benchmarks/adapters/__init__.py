"""The adapters: turn one row of a data set into one sample, or several.

An adapter is a function ``(row, *, parameters) -> Sample``, or a tuple of samples; its parameters
come from the ``benchmark.adapter`` node of a protocol's file, and templates such as
``"{videoID}.mp4"`` are filled from the row's own columns. Protocols name them as
``llava_eval.benchmarks.adapters.multiple_choice`` and so on. These fit the rows of many data sets:

* one video, or one image file (``media_kind: image``): ``multiple_choice``, ``open_ended``,
  ``caption``;
* one image in the row itself: ``image.image_choice``, ``image.image_question``,
  ``image.image_caption``;
* several images and options: ``image_list.image_list_choice``;
* an event to be found in a video: ``grounding.grounding``.

Rows that fit none of them have an adapter in a module named after the benchmark.
"""

from llava_eval.benchmarks.adapters.open import caption, open_ended
from llava_eval.benchmarks.adapters.options import multiple_choice

__all__ = ["caption", "multiple_choice", "open_ended"]
