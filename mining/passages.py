"""The distinct passages of rows and of further corpora, each text once."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mining.groups import Keys, text_keys
from mining.lists import Ids, Lists, Mask, starts_of
from mining.text_file import TextFile
from mining.texts import Texts, flat

Scores = npt.NDArray[np.float32]

_TEXT = pa.large_string()
PASSAGE = pa.schema([(n, _TEXT) for n in ("text", "id", "document", "title", "language")])
"""A passage to search: its text with its title, what it is called, and where it is from."""
_MOST_TITLE = 200  # characters of a first line that may be a title


@dataclass(frozen=True, slots=True)
class Collected:
    """P distinct passages, and which of them are the positives and negatives of Q rows."""

    texts: Texts
    keys: Keys
    ids: pa.Array
    documents: Texts
    titles: Texts
    languages: Texts
    positives: Lists
    negatives: Lists
    positive_teachers: Scores
    negative_teachers: Scores


def collect(
    rows: pa.Table, most_negatives: int, corpus: Iterable[pa.Table], folder: str | None = None
) -> Collected:
    """Return the passages of `ROW`s and those of `corpus` (`PASSAGE`s) that are not among them.

    Passages are numbered in the order in which they come: positives, named negatives, corpus. Of
    equal texts the first one names the passage. Texts are in a file in `folder`, not in memory.
    """
    positives, positive_owners = _side(rows, "positive")
    negatives, negative_owners = _side(rows, "negative")
    kept = _kept_negatives(rows, positives, positive_owners, negatives, negative_owners)
    kept &= _first(negative_owners, kept, most_negatives)
    owners = negative_owners[kept]
    with closing(TextFile(folder)) as stored:
        distinct = _Distinct(stored)
        found = [distinct.add(positives), distinct.add(negatives.filter(pa.array(kept)))]
        for table in corpus:
            distinct.add(table)
        texts = Texts(stored.mapped())
    whole = distinct.names()
    count = len(rows)
    return Collected(
        texts=texts,
        keys=distinct.keys(),
        ids=flat(whole["id"]),
        documents=Texts(flat(whole["document"])),
        titles=Texts(flat(whole["title"])),
        languages=Texts(flat(whole["language"])),
        positives=_listed(positive_owners, found[0], count),
        negatives=_listed(owners, found[1], count),
        positive_teachers=_teachers(rows, "positive", len(positives)),
        negative_teachers=_teachers(rows, "negative", len(negatives))[kept],
    )


def _side(rows: pa.Table, side: str) -> tuple[pa.Table, Ids]:
    """Return the passages of one side of all rows, and the row of each."""
    listed = flat(rows[f"{side}s"])
    owners = np.repeat(np.arange(len(rows)), pc.list_value_length(listed).to_numpy())
    texts = listed.flatten()
    own = pa.array(owners)
    document = flat(rows["document_id"]).take(own)
    columns = [
        texts,
        flat(rows[f"{side}_ids"]).flatten(),
        document,
        _labelled_titles(texts, flat(rows["relation"]).take(own)),
        flat(rows["language"]).take(own),
    ]
    return pa.Table.from_arrays(columns, schema=PASSAGE), owners


def first_lines(texts: pa.Array) -> pa.Array:
    """Return the first line of texts of several lines; an empty one where it is no title."""
    line = pc.extract_regex(texts, rf"^(?P<title>[^\n]{{1,{_MOST_TITLE}}})\n").field("title")
    return pc.fill_null(line, "")


def _labelled_titles(texts: pa.Array, relations: pa.Array) -> pa.Array:
    """Return the titles of labelled passages, which are read as their first line."""
    return pc.if_else(pc.equal(relations, "labelled"), first_lines(texts), "")


def _kept_negatives(
    rows: pa.Table, positives: pa.Table, owners: Ids, negatives: pa.Table, negative_owners: Ids
) -> Mask:
    """Mark the negatives that are no positive of the same question in any row."""
    if not len(negatives):
        return np.zeros(0, np.bool_)
    queries = text_keys(Texts(flat(rows["query"])), fold=True)
    answers = _pairs(queries[owners], text_keys(Texts(flat(positives["text"])), fold=True))
    named = _pairs(queries[negative_owners], text_keys(Texts(flat(negatives["text"])), fold=True))
    return ~np.isin(named, answers)


def _pairs(left: Keys, right: Keys) -> Keys:
    """Return a hash of pairs of hashes."""
    return (left * np.uint64(0x9E3779B97F4A7C15)) ^ right


def _first(owners: Ids, kept: Mask, most: int) -> Mask:
    """Mark the first `most` of the kept values of each owner; owners ascend."""
    place = np.cumsum(kept)
    begins = np.searchsorted(owners, owners)
    before = np.where(begins > 0, place[begins - 1], 0) if len(place) else place
    return np.asarray(place - before <= most)


def _listed(owners: Ids, values: Ids, count: int) -> Lists:
    return Lists(starts_of(np.bincount(owners, minlength=count)), values)


def _teachers(rows: pa.Table, side: str, count: int) -> Scores:
    """Return a data set's scores of the passages of one side; NaN where a row has none."""
    scores = flat(rows[f"{side}_teacher_scores"])
    sizes = pc.list_value_length(flat(rows[f"{side}s"])).to_numpy()
    taught = np.repeat(scores.is_valid().to_numpy(zero_copy_only=False), sizes)
    found = np.full(count, np.nan, np.float32)
    found[taught] = scores.flatten().to_numpy(zero_copy_only=False)
    return found


class _Distinct:
    """Passages as they come, without those whose text was there before."""

    def __init__(self, texts: TextFile) -> None:
        self._texts = texts
        self._names: list[pa.Table] = [PASSAGE.empty_table().drop_columns("text")]
        self._known = np.zeros(0, np.uint64)  # ascending
        self._numbers = np.zeros(0, np.int64)  # of these

    def add(self, table: pa.Table) -> Ids:
        """Return the number of each passage of a table; new ones are taken in."""
        keys = text_keys(Texts(flat(table["text"])), fold=False)
        distinct, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        fresh = ~np.isin(distinct, self._known, assume_unique=True)
        order = np.argsort(first[fresh], kind="stable")
        numbers = np.empty(len(order), np.int64)
        numbers[order] = np.arange(len(order)) + len(self._known)
        taken = table.take(pa.array(first[fresh][order]))
        self._texts.add(flat(taken["text"]))
        self._names.append(taken.drop_columns("text"))
        known = np.concatenate([self._known, distinct[fresh]])
        both = np.concatenate([self._numbers, numbers])
        by_key = np.argsort(known)
        self._known, self._numbers = known[by_key], both[by_key]
        own: Ids = self._numbers[np.searchsorted(self._known, distinct)][inverse]
        return own

    def names(self) -> pa.Table:
        """Return what is known of the passages, by number, but for their texts."""
        return pa.concat_tables(self._names)

    def keys(self) -> Keys:
        """Return the hash of each passage's text by number."""
        return self._known[np.argsort(self._numbers)]
