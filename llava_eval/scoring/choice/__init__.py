"""Multiple choice: all rules that read a letter from a reply.

How our own rule, ``strict_choice``, reads a letter:

1. ``strict`` removes reasoning; a reply that equals one option's text is that option's letter.
2. ``plain_text`` removes wrappers around words: boxes, tags, JSON, markup, quotes.
3. ``tokens`` splits the rest into letters, options' texts, punctuation, and words by their role
   ("answer", "is", "not"); ``words`` lists these in some fifty languages.
4. ``statements`` examines every letter once. A letter counts only if its sentence has a form that
   states it as the answer or rules it out (``mention`` defines all forms). Other mentions are
   ignored: remarks, copied lists, suppositions, questions, concessions, and choices of others.
5. ``strict`` decides: exactly one letter stated, which is an option's and not ruled out; otherwise
   there is no answer.

The rules of references are named after their benchmark or function: ``first_letter``,
``ranked_letter``, ``option_text`` and ``mmbench_letter``. They share with our rule only the letters
that the options have (``letter``). Configuration files name all rules as members of this package.
"""

from llava_eval.scoring.choice.first_letter import *  # noqa: F403
from llava_eval.scoring.choice.letter import *  # noqa: F403
from llava_eval.scoring.choice.mmbench_letter import *  # noqa: F403
from llava_eval.scoring.choice.option_text import *  # noqa: F403
from llava_eval.scoring.choice.ranked_letter import *  # noqa: F403
from llava_eval.scoring.choice.strict import *  # noqa: F403
