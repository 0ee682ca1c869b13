"""At most so many translations of a sentence: decided on thin keys, never on text.

Mined corpora pair menu entries and boilerplate with hundreds of "translations"; sentence mining
pipelines cap them (reference: curation, section 3).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xxhash

from curation.records import text_key

# One row per pair: 20 bytes cross the shuffle.
SENTENCE_KEY = np.dtype([("sentence", "<u8"), ("pair", "<u8"), ("score", "<f4")])

Keys = npt.NDArray[np.void]
Hashes = npt.NDArray[np.uint64]


def translation_hash(first: str, second: str) -> int:
    """Return the hash of two texts that say the same, whichever comes first."""
    return xxhash.xxh3_64_intdigest(b"".join(sorted((text_key(first), text_key(second)))))


def sentence_keys(
    queries: Sequence[str],
    positives: Sequence[str],
    languages: Sequence[str],
    scores: Sequence[float | None],
) -> Keys:
    """Return the `SENTENCE_KEY` rows of pairs: the query, asked for in the positive's language."""
    rows = [
        (
            xxhash.xxh3_64_intdigest(text_key(query) + language.encode()),
            translation_hash(query, positive),
            score or 0.0,
        )
        for query, positive, language, score in zip(
            queries, positives, languages, scores, strict=True
        )
    ]
    return np.array(rows, SENTENCE_KEY)


def surplus(rows: Keys, most: int) -> Hashes:
    """Return the sorted hashes of translations beyond the `most` best of some sentence.

    The best have the highest score; among equals the hash decides, as good as a draw.
    """
    best_first = np.lexsort((-rows["score"], rows["pair"], rows["sentence"]))
    rows = rows[best_first]
    rows = rows[_is_new(rows["sentence"]) | _is_new(rows["pair"])]
    rows = rows[np.lexsort((rows["pair"], -rows["score"], rows["sentence"]))]
    starts = np.flatnonzero(_is_new(rows["sentence"]))
    place = np.arange(len(rows)) - np.repeat(starts, np.diff(np.append(starts, len(rows))))
    return np.unique(rows["pair"][place >= most])


def _is_new(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Tell where a value differs from the one before it."""
    return np.append(True, values[1:] != values[:-1])[: len(values)]
