"""The rows to mine for, the passages that are candidates, and what is known of both, in arrays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curation.errors import InputError
from mining.config import MiningConfig
from mining.groups import (
    Keys,
    connected,
    looked_up,
    name_keys,
    near_duplicates,
    numbered,
    text_keys,
)
from mining.links import NO_LINKS, Links
from mining.lists import Ids, Lists, grouped
from mining.passages import Collected, collect
from mining.texts import Texts, flat

Scores = npt.NDArray[np.float32]

KEPT = ["id", "query", "relation", "source", "query_language", "language"]


@dataclass(frozen=True, slots=True)
class Groups:
    """What passages have in common: (P,) numbers, equal within a group; -1 is in none."""

    text: Ids
    near_duplicate: Ids
    document: Ids
    title: Ids
    translation: Ids
    language: Ids


@dataclass(frozen=True, slots=True)
class Pool:
    """Q rows to mine for, and the P distinct passages that are candidates for them."""

    rows: pa.Table
    """The rows, ordered by id, without the texts of their passages."""
    row_keys: Keys
    """(Q,) a hash of each row's id: what its draws depend on."""
    passages: Texts
    """(P,) distinct texts."""
    passage_ids: pa.Array
    """(P,) what a passage is called: the id of its document, else of its first pair."""
    passage_keys: Keys
    """(P,) a hash of each text."""
    positives: Lists
    """Per row the passages of its positives; a pair has one."""
    negatives: Lists
    """Per row those of the negatives that its data set names, none of them a known positive."""
    positive_teachers: Scores
    """A data set's own score of each of `positives.values`; NaN where it has none."""
    negative_teachers: Scores
    """That of each of `negatives.values`."""
    questions: Ids
    """(Q,) equal for rows whose queries are equal but for case and white space."""
    known: Lists
    """Per question the passages that answer it in any row."""
    query_texts: Ids
    """(Q,) the text group that equals the query; -1 where no passage does."""
    query_translations: Ids
    """(Q,) the translation group of the query; -1 where it has none."""
    query_documents: Ids
    """(Q, 2) the documents that query and positive are from; -1 where there is none."""
    query_languages: Ids
    """(Q,) the language of the query, numbered as those of the passages."""
    languages: Ids
    """(Q,) the language of the positives."""
    groups: Groups
    """What the passages have in common."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def queries(self) -> Texts:
        """The texts of the queries."""
        return Texts(flat(self.rows["query"]))


def build_pool(
    rows: pa.Table,
    config: MiningConfig,
    corpus: Iterable[pa.Table] = (),
    links: Links = NO_LINKS,
    folder: str | None = None,
) -> Pool:
    """Return the pool of `ROW`s and of the further passages `corpus` (`PASSAGE`s, in order).

    Of a labelled row up to `config.negatives` negatives join the pool, without those that are
    positives of the same question elsewhere. The passages' texts are mapped from a file without a
    name in `folder`. Raises `InputError` where there is no row.
    """
    if not len(rows):
        raise InputError("no pair or question has a relation of mining.relations; nothing to mine")
    found = collect(rows, config.negatives, corpus, folder)
    query_keys = text_keys(Texts(flat(rows["query"])), fold=True)
    questions = numbered(query_keys)
    folded_keys = text_keys(found.texts, fold=True)
    known_keys, text_groups = np.unique(folded_keys, return_inverse=True)
    translations, translated = _translations(links, folded_keys, query_keys)
    documents = _shared_numbers(found.documents, rows, "query_document_id", "document_id")
    languages = _shared_numbers(found.languages, rows, "query_language", "language")
    text_groups = text_groups.astype(np.int64)
    return Pool(
        rows=rows.select(KEPT),
        row_keys=text_keys(Texts(flat(rows["id"])), fold=False),
        passages=found.texts,
        passage_ids=found.ids,
        passage_keys=found.keys,
        positives=found.positives,
        negatives=found.negatives,
        positive_teachers=found.positive_teachers,
        negative_teachers=found.negative_teachers,
        questions=questions,
        known=grouped(
            questions[found.positives.owners], found.positives.values, int(questions.max()) + 1
        ),
        query_texts=looked_up(query_keys, known_keys, np.arange(len(known_keys))),
        query_translations=translated,
        query_documents=np.stack(documents[1:], axis=1),
        query_languages=languages[1],
        languages=languages[2],
        groups=Groups(
            text=text_groups,
            near_duplicate=_clusters(found.texts, text_groups, config),
            document=documents[0],
            title=_titles(found, links),
            translation=translations,
            language=languages[0],
        ),
    )


def _shared_numbers(passages: Texts, rows: pa.Table, *columns: str) -> list[Ids]:
    """Return numbers of names that passages and columns of the rows have in common."""
    keys = [name_keys(names) for names in (passages, *(Texts(flat(rows[c])) for c in columns))]
    ends = np.cumsum([len(k) for k in keys])[:-1]
    return np.split(numbered(np.concatenate(keys)), ends)


def _clusters(texts: Texts, groups: Ids, config: MiningConfig) -> Ids:
    if "near_duplicate" not in config.filters:
        return groups
    return near_duplicates(texts, config.near_duplicate_threshold, groups)


def _titles(found: Collected, links: Links) -> Ids:
    """Return title groups: of the document where it is known, else as the passage comes."""
    keys = name_keys(found.titles)
    place = looked_up(name_keys(found.documents), links.documents, np.arange(len(links.documents)))
    keys[place >= 0] = links.titles[place[place >= 0]]
    return numbered(keys)


def _translations(links: Links, passages: Keys, queries: Keys) -> tuple[Ids, Ids]:
    """Return the translation groups of passages and of queries: components of the linked texts."""
    known, ends = np.unique(np.concatenate([links.left, links.right]), return_inverse=True)
    left, right = np.split(ends.astype(np.int64), 2)
    groups = connected(len(known), left, right)
    return looked_up(passages, known, groups), looked_up(queries, known, groups)
