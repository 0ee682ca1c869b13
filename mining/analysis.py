"""Texts → terms for BM25: by language, or with a model's tokenizer as the paper did.

A term is a 64-bit hash, so that an index needs no dictionary of strings. Words are found for a
whole batch at once (`curation.words`); normalising, stop words and stemming are per distinct word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import xxhash

from curation import characters
from curation.language_codes import base_code
from curation.words import Ints, Words, split_words
from mining import folding
from mining.folding import fold_stem, stop_words

Hashes = npt.NDArray[np.uint64]

_NGRAM = 2  # letters per term where words are not separated, as Lucene's analyser for CJK
_SYLLABLES = re.compile("[\uac00-\ud7af]+")

# The Snowball algorithms by language code (PyStemmer).
_STEMMERS = {
    "ar": "arabic",
    "ca": "catalan",
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "eo": "esperanto",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fa": "persian",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "ne": "nepali",
    "nl": "dutch",
    "nn": "norwegian",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "st": "sesotho",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of N texts, end to end, repeats included; their order means nothing."""

    borders: Ints
    """(N + 1,) where each text's terms begin."""
    hashes: Hashes
    """The terms of all texts."""

    def __len__(self) -> int:
        return len(self.borders) - 1


class Analyser(Protocol):
    """What turns texts into terms."""

    name: str
    """Tells one analyser from another; stored with an index."""

    def __call__(self, texts: Sequence[str]) -> Terms:
        """Return the terms of texts."""


class LanguageAnalyser:
    """Words of one language, folded, without stop words, stemmed.

    Unicode NFKC and case folding for all; what a script spells in several ways in one (alef, yeh
    and vowel signs of Arabic, nukta and candrabindu of Devanagari); Snowball stemmers where there
    is one for the language, and its most frequent function words dropped. Scripts without spaces
    (Han, kana, Thai, Lao, Khmer, Myanmar) give overlapping pairs of letters, and so does Hangul.
    """

    def __init__(self, language: str) -> None:
        self.language = base_code(language) if language else ""
        self.name = f"language-{self.language or 'any'}-1"
        self._terms = _word_terms(self.language)

    def __call__(self, texts: Sequence[str]) -> Terms:
        """Return the terms of texts."""
        if not texts:
            return Terms(np.zeros(1, np.int64), np.zeros(0, np.uint64))
        return _terms(
            split_words([folding.fold(text, self.language) for text in texts]), self._terms
        )


class TokenizerAnalyser:
    """The tokens of a model's tokenizer, special ones left out: the paper's BM25."""

    def __init__(self, tokenizer: Any, name: str) -> None:
        self._tokenizer = tokenizer
        self.name = f"tokenizer-{name}-1"

    def __call__(self, texts: Sequence[str]) -> Terms:
        """Return the tokens of texts as terms."""
        if not texts:
            return Terms(np.zeros(1, np.int64), np.zeros(0, np.uint64))
        rows = self._tokenizer(
            list(texts), add_special_tokens=False, truncation=False, padding=False, verbose=False
        )["input_ids"]
        borders = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=borders[1:])
        hashes = np.fromiter((token for row in rows for token in row), np.uint64, borders[-1])
        return Terms(borders, hashes)


@cache
def analyser(language: str) -> LanguageAnalyser:
    """Return the analyser of a language code in any form ("deu_Latn"); "" is any language."""
    return LanguageAnalyser(language)


def _word_terms(language: str) -> Callable[[list[str]], list[list[str]]]:
    """Return the function from distinct words to the terms of each."""
    import Stemmer

    stopped = stop_words(language) if language in _STEMMERS else frozenset()
    stemmer = Stemmer.Stemmer(_STEMMERS[language]) if language in _STEMMERS else None

    def terms(words: list[str]) -> list[list[str]]:
        stems = stemmer.stemWords(words) if stemmer else words
        pairs = zip(words, stems, strict=True)
        return [[] if word in stopped else _pieces(fold_stem(stem)) for word, stem in pairs]

    return terms


def _pieces(word: str) -> list[str]:
    """Return a word itself, or its pairs of syllables if it is Korean: particles are no words."""
    if _SYLLABLES.fullmatch(word) and len(word) > _NGRAM:
        return [word[i : i + _NGRAM] for i in range(len(word) - _NGRAM + 1)]
    return [word]


def _terms(words: Words, of_words: Callable[[list[str]], list[list[str]]]) -> Terms:
    unspaced = words.kinds[words.starts] == characters.UNSPACED
    rows, hashes = _spaced_terms(words, np.flatnonzero(~unspaced), of_words)
    more_rows, more_hashes = _unspaced_terms(words, unspaced)
    texts = np.concatenate([words.texts[rows], words.texts[more_rows]])
    borders = np.zeros(words.count + 1, np.int64)
    np.cumsum(np.bincount(texts, minlength=words.count), out=borders[1:])
    order = np.argsort(texts, kind="stable")
    return Terms(borders, np.concatenate([hashes, more_hashes])[order])


def _spaced_terms(
    words: Words, rows: Ints, of_words: Callable[[list[str]], list[list[str]]]
) -> tuple[Ints, Hashes]:
    """Return (the word of each term, the terms): each distinct word is looked at once."""
    _, firsts, inverse = np.unique(words.hashes[rows], return_index=True, return_inverse=True)
    found = of_words([_string(words, row) for row in rows[firsts].tolist()])
    sizes = np.array([len(terms) for terms in found], np.int64)
    distinct = np.fromiter(
        (xxhash.xxh3_64_intdigest(term.encode()) for terms in found for term in terms),
        np.uint64,
        int(sizes.sum()),
    )
    counts = sizes[inverse]
    starts = np.concatenate([np.zeros(1, np.int64), sizes.cumsum()])[:-1][inverse]
    ends = counts.cumsum()
    within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
    return np.repeat(rows, counts), distinct[np.repeat(starts, counts) + within]


def _unspaced_terms(words: Words, unspaced: npt.NDArray[np.bool_]) -> tuple[Ints, Hashes]:
    """Return pairs of letters that touch; a letter alone is a term of its own."""
    touch = np.zeros(len(unspaced), np.bool_)  # whether the next letter belongs to the same run
    touch[:-1] = unspaced[:-1] & unspaced[1:] & (words.ends[:-1] == words.starts[1:])
    alone = unspaced & ~touch
    alone[1:] &= ~touch[:-1]
    pairs, single = np.flatnonzero(touch), np.flatnonzero(alone)
    hashes = np.concatenate([words.ngrams(pairs, _NGRAM), words.hashes[single]])
    return np.concatenate([pairs, single]), characters.mix(hashes)


def _string(words: Words, row: int) -> str:
    points = words.points[words.starts[row] : words.ends[row]]
    return unicodedata.normalize("NFC", points.tobytes().decode("utf-32-le", "surrogatepass"))
