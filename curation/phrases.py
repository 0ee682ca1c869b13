"""Phrases found in tokenised text by the hashes of their words: stop words, boilerplate, lists.

In scripts without spaces a word is a character, so phrases are found there without word borders.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from curation import storage
from curation.characters import Hashes
from curation.errors import ConfigError
from curation.language_codes import base_code
from curation.words import Ints, Words, split_words

_SIEVE_BITS = 16  # 64 KB of flags, which stay in the cache, spare most words the search
_SHIFT = np.uint64(64 - _SIEVE_BITS)


@dataclass(frozen=True, slots=True)
class _Table:
    """The hashes of phrases of one length in words."""

    hashes: Hashes
    sieve: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, hashes: Iterable[int]) -> _Table:
        found = np.array(sorted(set(hashes)), np.uint64)
        sieve = np.zeros(1 << _SIEVE_BITS, np.bool_)
        sieve[(found >> _SHIFT).astype(np.int64)] = True
        return cls(found, sieve)

    def candidates(self, hashes: Hashes) -> Ints:
        """Return which of `hashes` may be in the table: all that are, and few others."""
        return np.flatnonzero(self.sieve[(hashes >> _SHIFT).astype(np.int64)])

    def find(self, hashes: Hashes) -> Ints:
        """Return which of `hashes` are in the table."""
        maybe = self.candidates(hashes)
        wanted = hashes[maybe]
        at = np.minimum(np.searchsorted(self.hashes, wanted), len(self.hashes) - 1)
        found: Ints = maybe[self.hashes[at] == wanted]
        return found


def language_salt(language: str) -> int:
    """Return what is added to the hashes of a language's phrases."""
    return xxhash.xxh3_64_intdigest(base_code(language).encode("utf-8", "replace"))


@dataclass(frozen=True, slots=True)
class PhraseSet:
    """Phrases by language; those of language "" are looked for in every text."""

    tables: Mapping[int, _Table]
    heads: _Table
    """The first words of all phrases: few words of a text pass."""

    @classmethod
    def of(cls, phrases: Mapping[str, Iterable[str]]) -> PhraseSet:
        """Take phrases by language; one without a word is ignored."""
        hashes: dict[int, list[int]] = {}
        heads: list[int] = []
        for language, listed in phrases.items():
            salt = language_salt(language) if language else 0
            for phrase in listed:
                words = split_words([phrase])
                if size := len(words.hashes):
                    found = int(words.ngrams(np.zeros(1, np.int64), size)[0])
                    hashes.setdefault(size, []).append((found + salt) % (1 << 64))
                    heads.append(int(words.hashes[0]))
        tables = {size: _Table.of(found) for size, found in sorted(hashes.items())}
        return cls(tables, _Table.of(heads))

    def find(self, words: Words, salts: Hashes | None = None) -> Iterable[tuple[Ints, int]]:
        """Yield (first words, size in words) of the phrases in a batch; `salts` one a text."""
        begins = self.heads.candidates(words.hashes)
        for size, table in self.tables.items():
            rows = begins[words.fits(begins, size)]
            hashes = words.ngrams(rows, size)
            if salts is not None:
                hashes = hashes + salts[words.texts[rows]]
            yield rows[table.find(hashes)], size


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(files("curation").joinpath(name).read_text(encoding="utf-8"))


@cache
def stop_words() -> PhraseSet:
    """Return the commonest words of the languages in `stop_words.toml`."""
    return PhraseSet.of({code: words.split() for code, words in _read("stop_words.toml").items()})


@cache
def boilerplate() -> dict[str, PhraseSet]:
    """Return the phrases of page furniture, and of text that only fills a place."""
    groups = _read("boilerplate.toml")
    return {
        group: PhraseSet.of({"": [p for listed in by_language.values() for p in listed]})
        for group, by_language in groups.items()
    }


def load_word_lists(path: str) -> PhraseSet | None:
    """Read `LANGUAGE = ["word", …]` of a TOML file, or a folder of LANGUAGE.txt, a word a line.

    Returns None for an empty path; raises `ConfigError` for a file of another form.
    """
    if not path:
        return None
    if path.endswith(".toml"):
        with storage.open_read(path) as handle:
            return PhraseSet.of(_checked(path, handle.read()))
    listed = {}
    for file in storage.list_files(path, ".txt"):
        with storage.open_read(file) as handle:
            lines = handle.read().decode("utf-8", "replace").splitlines()
        listed[file.rsplit("/", 1)[-1].removesuffix(".txt")] = lines
    if not listed:
        raise ConfigError(f"curation.word_lists = {path!r} holds no LANGUAGE.txt; or name a .toml")
    return PhraseSet.of(listed)


def word_list_files(path: str) -> list[str]:
    """Return the files that `load_word_lists` reads."""
    if not path or path.endswith(".toml"):
        return storage.expand(path) if path else []
    return storage.list_files(path, ".txt")


def _checked(path: str, data: bytes) -> dict[str, list[str]]:
    try:
        tables = tomllib.loads(data.decode("utf-8", "replace"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"curation.word_lists: {path} is not TOML: {error}") from error
    for language, words in tables.items():
        if not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
            raise ConfigError(f"curation.word_lists: {language} in {path} is no list of words")
    return tables
