"""Multiple choice: every way to read a letter from a reply.

How our own rule, ``strict_choice``, reads one:

1. ``strict`` cuts reasoning away; a reply that is one option's text is that option's letter.
2. ``plain_text`` takes off what is wrapped around words: boxes, tags, JSON, markup, quotes.
3. ``tokens`` makes a row of the rest: letters, options' texts, marks, and words by what they do
   ("answer", "is", "not"), of which ``words`` has lists in some fifty languages.
4. ``statements`` goes once over all letters. A letter counts only where its sentence has a form
   that gives it as the answer or rules it out (``mention`` has them all). Any other mention says
   nothing: remarks, copied lists, what is supposed, asked or granted, and choices of others.
5. ``strict`` decides: one letter stated, which is an option's and not ruled out; or no answer.

The rules of references stand beside ours, each under the name of its benchmark or function:
``first_letter``, ``ranked_letter``, ``option_text`` and ``mmbench_letter``. All that they have in
common with it is which letters the options have (``letter``).
Configuration files name all of them as members of this package.
"""

from llava_eval.scoring.choice.first_letter import *  # noqa: F403
from llava_eval.scoring.choice.letter import *  # noqa: F403
from llava_eval.scoring.choice.mmbench_letter import *  # noqa: F403
from llava_eval.scoring.choice.option_text import *  # noqa: F403
from llava_eval.scoring.choice.ranked_letter import *  # noqa: F403
from llava_eval.scoring.choice.strict import *  # noqa: F403
