"""Quality scores of texts, computed in batches on one tokenisation that all of them share.

Scores only: what is too much or too little is decided elsewhere (`curation/filters.py`), so
that another decision needs no new pass over the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curation import characters, phrases
from curation.characters import (
    BRACE,
    DIGIT,
    HASH,
    LETTER,
    MARK,
    NEWLINE,
    SPACE,
    SYMBOL,
    UNSPACED,
    UNSPACED_MARK,
)
from curation.phrases import PhraseSet
from curation.records import QUALITY, Document
from curation.repetition import find_repeats, repeated_shares
from curation.words import Ints, Words, split_words

SCORES = tuple(field.name for field in QUALITY)
_BATCH = 1 << 18  # characters scored at once: large enough for numpy, small enough for the cache
_SHORT = 30  # columns (FineWeb)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Stretches:
    """Lines or paragraphs of a batch: where each begins and ends, and in which text."""

    starts: Ints
    ends: Ints
    texts: Ints

    def share(self, chosen: npt.NDArray[np.bool_], count: int) -> Floats:
        """Return the share of the chosen among the stretches of each text."""
        total = np.bincount(self.texts, minlength=count)
        return np.bincount(self.texts[chosen], minlength=count) / np.maximum(1, total)

    def character_share(self, chosen: npt.NDArray[np.bool_], count: int) -> Floats:
        """Return the share of the chosen among the characters of each text."""
        sizes = self.ends - self.starts
        total = np.bincount(self.texts, sizes, count)
        return np.bincount(self.texts[chosen], sizes[chosen], count) / np.maximum(1, total)


def fill_scores(documents: Sequence[Document], flagged: PhraseSet | None = None) -> None:
    """Set the quality scores of documents, keeping the `masked` count that they may bring."""
    for batch in _batches(documents):
        texts, languages = [d.text for d in batch], [d.language for d in batch]
        columns = score_texts(texts, languages, flagged)
        values = [columns[name].tolist() for name in columns]
        for document, row in zip(batch, zip(*values, strict=True), strict=True):
            document.quality = dict(zip(columns, row, strict=True)) | {
                "masked": document.quality.get("masked", 0)
            }


def _batches(documents: Sequence[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    size = 0
    for document in documents:
        if batch and size + len(document.text) > _BATCH:
            yield batch
            batch, size = [], 0
        batch.append(document)
        size += len(document.text)
    if batch:
        yield batch


def score_texts(
    texts: Sequence[str], languages: Sequence[str], flagged: PhraseSet | None = None
) -> dict[str, npt.NDArray[np.float64 | np.int64]]:
    """Return a column of each score in `records.QUALITY` but `masked`, one value a text.

    Shares lie in 0..1: of characters other than white space where they speak of letters, digits
    and symbols; of lines that are not empty; of word characters where they speak of n-grams.
    """
    words = split_words(texts)
    lines, paragraphs = _lines_and_paragraphs(words)
    salts = np.array([phrases.language_salt(code) for code in languages], np.uint64)
    found = (
        _character_scores(words)
        | _word_scores(words, salts, flagged)
        | _line_scores(words, lines)
        | _duplicate_scores(words, lines, "line")
        | _duplicate_scores(words, paragraphs, "paragraph")
        | _boilerplate_scores(words, lines)
        | repeated_shares(words)
    )
    return {name: found[name] for name in SCORES if name != "masked"}


def _character_scores(words: Words) -> dict[str, Floats | Ints]:
    counts = words.kind_counts
    total = counts.sum(axis=1)
    visible = np.maximum(1, total - counts[:, SPACE] - counts[:, NEWLINE])
    letters = counts[:, [LETTER, UNSPACED, MARK, UNSPACED_MARK]].sum(axis=1)
    number = np.diff(words.borders)
    return {
        "characters": total,
        "words": number,
        "mean_word_length": letters / np.maximum(1, number),
        "letter_share": letters / visible,
        "digit_share": counts[:, DIGIT] / visible,
        "symbol_share": counts[:, [SYMBOL, HASH, BRACE]].sum(axis=1) / visible,
        "brace_share": counts[:, BRACE] / visible,
        "hash_word_ratio": counts[:, HASH] / np.maximum(1, number),
        "ellipsis_word_ratio": _ellipses(words) / np.maximum(1, number),
    }


def _ellipses(words: Words) -> Ints:
    """Count runs of three dots or more, and the character for them."""
    dots = np.flatnonzero(words.points == ord("."))
    opens = np.diff(dots, prepend=-2) > 1
    starts = np.flatnonzero(opens)
    runs = dots[starts[np.diff(np.append(starts, len(dots))) >= 3]]
    found = np.concatenate([runs, np.flatnonzero(words.points == ord("…"))])
    return np.bincount(_text_of(words, found), minlength=words.count)


def _text_of(words: Words, positions: Ints) -> Ints:
    return np.searchsorted(words.firsts, positions, side="right") - 1


def _word_scores(
    words: Words, salts: characters.Hashes, flagged: PhraseSet | None
) -> dict[str, Floats]:
    number = np.maximum(1, np.diff(words.borders))
    is_letter = (words.kinds == LETTER) | (words.kinds == UNSPACED)
    letters = np.concatenate([[0], np.cumsum(is_letter)])
    lettered = letters[words.ends] > letters[words.starts]
    stops = _covered_words(words, phrases.stop_words(), salts)
    bad = _covered_words(words, flagged, salts) if flagged else np.zeros(0, np.int64)
    return {
        "letter_word_share": np.bincount(words.texts[lettered], minlength=words.count) / number,
        "stop_word_share": np.bincount(words.texts[stops], minlength=words.count) / number,
        "flagged_word_share": np.bincount(words.texts[bad], minlength=words.count) / number,
    }


def _covered_words(words: Words, found: PhraseSet, salts: characters.Hashes) -> Ints:
    """Return the words that belong to a phrase of their text's language."""
    covered = np.zeros(len(words.hashes), np.bool_)
    for rows, size in found.find(words, salts):
        covered[(rows[:, None] + np.arange(size)).ravel()] = True
    return np.flatnonzero(covered)


def _lines_and_paragraphs(words: Words) -> tuple[_Stretches, _Stretches]:
    """Return the lines that are not empty, trimmed, and the paragraphs that empty lines part."""
    breaks = np.flatnonzero(words.kinds == NEWLINE)
    starts = np.concatenate([[0], breaks + 1])
    ends = np.append(breaks, len(words.kinds))
    seen = np.flatnonzero((words.kinds != SPACE) & (words.kinds != NEWLINE))
    first = np.searchsorted(seen, starts)
    last = np.searchsorted(seen, ends)
    filled = last > first
    starts, ends = seen[first[filled]], seen[last[filled] - 1] + 1
    lines = _Stretches(starts, ends, _text_of(words, starts))
    opens = np.ones(len(starts), np.bool_)
    opens[1:] = np.diff(np.flatnonzero(filled)) > 1
    begins = np.flatnonzero(opens)
    closes = np.append(begins[1:], len(starts)) - 1
    paragraphs = _Stretches(starts[begins], ends[closes[: len(begins)]], lines.texts[begins])
    return lines, paragraphs


def _line_scores(words: Words, lines: _Stretches) -> dict[str, Floats]:
    points, first, last = words.points, lines.starts, lines.ends - 1
    is_dot = points == ord(".")
    dotted = is_dot[last] & is_dot[np.maximum(0, last - 1)] & is_dot[np.maximum(0, last - 2)]
    columns = np.concatenate([[0], np.cumsum(1 + characters.wide()[points])])
    number = np.maximum(1, np.diff(words.borders))
    chosen = {
        "line_end_share": characters.members(characters.TERMINAL)[points[last]],
        "ellipsis_line_share": (dotted & (last - first >= 2)) | (points[last] == ord("…")),
        "bullet_line_share": characters.members(characters.BULLETS)[points[first]],
        "short_line_share": columns[lines.ends] - columns[lines.starts] <= _SHORT,
    }
    shares = {name: lines.share(mask, words.count) for name, mask in chosen.items()}
    ratio = np.bincount(lines.texts, minlength=words.count) / number
    return shares | {"line_word_ratio": ratio}


def _duplicate_scores(words: Words, stretches: _Stretches, name: str) -> dict[str, Floats]:
    hashes = words.characters.between(stretches.starts, stretches.ends)
    again = np.zeros(len(hashes), np.bool_)
    again[find_repeats(hashes, stretches.texts).again] = True
    return {
        f"duplicate_{name}_share": stretches.share(again, words.count),
        f"duplicate_{name}_character_share": stretches.character_share(again, words.count),
    }


def _boilerplate_scores(words: Words, lines: _Stretches) -> dict[str, Floats]:
    """Return the share of characters in lines that hold a phrase of each group."""
    shares = {}
    for group, found in phrases.boilerplate().items():
        marked = np.zeros(len(lines.starts), np.bool_)
        for rows, _ in found.find(words):
            marked[np.searchsorted(lines.starts, words.starts[rows], side="right") - 1] = True
        shares[f"{group}_share"] = lines.character_share(marked, words.count)
    return shares
