"""A small language identifier of our own: rank-ordered character n-grams of 427 languages.

The engines know about 200 languages between them and take any other for one of theirs. These
profiles know fewer n-grams (500 a language) and more languages, so they arbitrate where the
engines disagree and name what neither can. A language's profile is the order of its most
frequent n-grams; the n-gram at rank r weighs log((500 + 30) / (r + 30)) (after Cavnar and
Trenkle's rank order; counts instead of ranks scored no better, benchmarks/language.md).

`benchmarks/language_profiles.py` makes the file from translations of the Universal Declaration
of Human Rights: 10,000 characters a language.
"""

from __future__ import annotations

import lzma
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

RANKS = 500
LONGEST = 4  # characters: four code points of 16 bits make one 64-bit key
_SMOOTHING = 30
_SAMPLE = 400  # characters scored
_BREAK = re.compile(
    r"[\s\d_!-&(-@\[-^`{-¿×÷،؛؟۔।॥\u2000-\u2018\u201a-\u206f\u3000-\u303f\uff00-\uff20]+"
)

Keys = npt.NDArray[np.uint64]


def plain(text: str) -> str:
    """Return the words in lower case, one space before, between and after them."""
    return f" {' '.join(filter(None, _BREAK.split(text.lower())))} "


def ngram_keys(text: str) -> Keys:
    """Return the key of every n-gram of 1 to 4 characters of `plain(text)`, repeats included."""
    points = np.frombuffer(plain(text).encode("utf-32-le", "replace"), np.uint32)
    points = points.astype(np.uint64) & np.uint64(0xFFFF)
    keys, grown = [points], points
    for length in range(2, LONGEST + 1):
        grown = (grown[: max(0, len(points) - length + 1)] << np.uint64(16)) | points[length - 1 :]
        keys.append(grown)
    return np.concatenate(keys)


def key_of(ngram: str) -> int:
    """Return the key of one n-gram."""
    key = 0
    for character in ngram:
        key = key << 16 | (ord(character) & 0xFFFF)
    return key


@dataclass(frozen=True, slots=True)
class ScriptProfiles:
    """The profiles of all languages of one script: weights of n-grams as sparse rows.

    keys: (n,) sorted; starts: (n + 1,) row bounds into columns and weights, each (entries,).
    """

    languages: tuple[str, ...]
    keys: Keys
    starts: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]

    def scores(self, text: str) -> npt.NDArray[np.float64]:
        """Return (languages,) mean weight of an n-gram of the text's first 400 characters."""
        found, counts = np.unique(ngram_keys(text[:_SAMPLE]), return_counts=True)
        rows = np.minimum(np.searchsorted(self.keys, found), len(self.keys) - 1)
        known = self.keys[rows] == found
        entries, repeats = self._entries(rows[known], counts[known])
        total = np.bincount(
            self.columns[entries], self.weights[entries] * repeats, minlength=len(self.languages)
        )
        return total / max(1, int(counts.sum()))

    def _entries(self, rows: Any, counts: Any) -> tuple[Any, Any]:
        """Return the positions of all entries of the rows, and the row's count for each."""
        lengths = self.starts[rows + 1] - self.starts[rows]
        ends = np.cumsum(lengths)
        offsets = np.repeat(self.starts[rows] - (ends - lengths), lengths)
        return np.arange(ends[-1] if len(ends) else 0) + offsets, np.repeat(counts, lengths)


@cache
def _lines() -> dict[str, list[tuple[str, list[str]]]]:
    """Return script → (language, n-grams by rank)."""
    packed = files("curation").joinpath("language_profiles.txt.xz").read_bytes()
    by_script: dict[str, list[tuple[str, list[str]]]] = {}
    for line in lzma.decompress(packed).decode().splitlines():
        if not line.startswith("#"):
            language, script, *ngrams = line.split(" ")
            by_script.setdefault(script, []).append((language, ngrams))
    return by_script


@cache
def languages() -> frozenset[str]:
    """Return the codes of all languages that have a profile in some script."""
    return frozenset(language for lines in _lines().values() for language, _ in lines)


@cache
def script_profiles(script: str) -> ScriptProfiles | None:
    """Return the profiles in a script; None where no language has one."""
    lines = _lines().get(script)
    if not lines:
        return None
    ngrams = [key_of(gram.replace("_", " ")) for _, grams in lines for gram in grams]
    columns = np.repeat(np.arange(len(lines)), [len(grams) for _, grams in lines])
    ranks = np.concatenate([np.arange(len(grams)) for _, grams in lines])
    keys, rows = np.unique(np.array(ngrams, np.uint64), return_inverse=True)
    order = np.argsort(rows, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(keys)))])
    weights = np.log((RANKS + _SMOOTHING) / (ranks + _SMOOTHING))
    names = tuple(language for language, _ in lines)
    return ScriptProfiles(names, keys, starts, columns[order], weights[order])
