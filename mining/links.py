"""What a run knows of its passages beyond the rows: titles of documents, and translations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mining.groups import Keys, name_keys, text_keys
from mining.texts import Texts, flat

_NONE: Keys = np.zeros(0, np.uint64)


@dataclass(frozen=True, slots=True)
class Links:
    """Hashes only: names and texts are not kept."""

    documents: Keys
    """(D,) hashes of the ids of documents, ascending."""
    titles: Keys
    """(D,) hashes of their titles, 0 where there is none."""
    left: Keys
    """(E,) hashes of texts …"""
    right: Keys
    """(E,) … and of their translations."""


NO_LINKS = Links(_NONE, _NONE, _NONE, _NONE)


def links_of(documents: Iterable[pa.Table], translations: Iterable[pa.Table]) -> Links:
    """Return the links of tables with `id` and `title`, and of tables of parallel pairs."""
    ids, titles = _keys(documents, "id", "title")
    order = np.argsort(ids, kind="stable")
    left, right = _keys(translations, "query", "positive")
    return Links(ids[order], titles[order], left, right)


def _keys(tables: Iterable[pa.Table], *columns: str) -> tuple[Keys, Keys]:
    found: tuple[list[Keys], list[Keys]] = ([_NONE], [_NONE])
    for table in tables:
        for column, keys in zip(columns, found, strict=True):
            texts = Texts(flat(table[column]))
            hashed = name_keys(texts) if column == "title" else text_keys(texts, fold=True)
            keys.append(hashed)
    return np.concatenate(found[0]), np.concatenate(found[1])
