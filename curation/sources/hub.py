"""Rows of any `datasets` data set → documents, pairs, translations or labelled queries.

A name on the hub, a local folder, or files of one format; streamed, so that nothing is copied to
disk and memory does not grow with the data set. Only the mapped columns are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import xxhash

from curation.errors import ConfigError, InputError, unknown_name
from curation.pair_sources import role_of
from curation.records import Reject
from curation.sources.labelled_rows import MalformedError, Row, texts_of
from curation.sources.raw import (
    Passage,
    RawDocument,
    RawLabelled,
    RawPair,
    RawSection,
    RawTranslation,
)

Record = RawDocument | RawPair | RawTranslation | RawLabelled | Reject

_BUILDERS = {
    "parquet": "parquet",
    "json": "json",
    "jsonl": "json",
    "csv": "csv",
    "arrow": "arrow",
}
_COMPRESSED = ("gz", "bz2", "xz", "zst")


@dataclass(frozen=True, slots=True)
class Dataset:
    """What to load and how to read its rows."""

    path: str
    is_file: bool
    subset: str
    split: str
    revision: str
    columns: Mapping[str, str]
    relation: str
    source: str
    query_language: str | None
    language: str | None


def _suffix(path: str) -> str:
    parts = [part for part in path.lower().split(".") if part not in _COMPRESSED]
    return parts[-1] if parts else ""


def has_known_suffix(path: str) -> bool:
    """Tell whether a path or glob names files that `datasets` can read, by its suffix."""
    return _suffix(path) in _BUILDERS


def builder_of(path: str) -> str:
    """Return the `datasets` builder for a file by its suffix; raise `ConfigError` for others."""
    if not has_known_suffix(path):
        raise ConfigError(unknown_name(f"suffix of {path!r}", _suffix(path), _BUILDERS))
    return _BUILDERS[_suffix(path)]


def open_dataset(wanted: Dataset) -> Any:
    """Return the streaming data set; raise `InputError` with the reason where there is none."""
    import datasets

    try:
        if wanted.is_file:
            return datasets.load_dataset(
                builder_of(wanted.path), data_files=[wanted.path], split="train", streaming=True
            )
        return datasets.load_dataset(
            wanted.path,
            wanted.subset or None,
            split=wanted.split,
            revision=wanted.revision or None,
            streaming=True,
        )
    except Exception as error:  # each builder and file system has exceptions of its own
        raise InputError(
            f"cannot open the data set {wanted.path!r} (subset {wanted.subset!r}, "
            f"split {wanted.split!r}): {error}"
        ) from error


def check_columns(wanted: Dataset) -> int:
    """Return the number of shards; raise `ConfigError` if a mapped column is not there."""
    opened = open_dataset(wanted)
    available = opened.column_names
    if available is None:
        available = list(next(iter(opened), {}))
    for role, column in wanted.columns.items():
        if available and column not in available and column.split(".")[0] not in available:
            what = f"column of {wanted.path!r} for {role}"
            raise ConfigError(unknown_name(what, column, available))
    return int(opened.num_shards)


def read_rows(wanted: Dataset, shard: int = 0, shards: int = 1) -> Iterator[Record]:
    """Yield the records of one shard; a file that breaks off is one reject at its end."""
    try:
        opened = open_dataset(wanted)
    except InputError as error:
        yield _unreadable(wanted, shard, 0, error)
        return
    names = opened.column_names or ()
    mapped = {c if c in names else c.split(".")[0] for c in wanted.columns.values()}
    if names:
        opened = opened.select_columns(sorted(mapped))
    if shards > 1:
        opened = opened.shard(num_shards=shards, index=shard)
    parse = _PARSERS[role_of(wanted.columns, wanted.relation)]
    rows, number = iter(opened), 0
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except Exception as error:  # each format's reader has exceptions of its own
            yield _unreadable(wanted, shard, number, error)
            return
        yield _record(row, f"{shard}-{number}", wanted, parse)
        number += 1


def _unreadable(wanted: Dataset, shard: int, number: int, error: Exception) -> Reject:
    name = wanted.path.rsplit("/", 1)[-1]
    identity = f"{wanted.source}:{name}:shard-{shard}:row-{number}"
    return Reject(identity, "extract", "unreadable_rows", wanted.source, value=str(error)[:200])


def _record(row: Row, number: str, wanted: Dataset, parse: Any) -> Record:
    values = {role: _value(row, column) for role, column in wanted.columns.items()}
    try:
        record: Record = parse(values, wanted)
    except MalformedError as error:
        identity = f"{wanted.source}:row-{number}"
        return Reject(identity, "extract", str(error), wanted.source, value=", ".join(row)[:200])
    return record


def _value(row: Row, column: str) -> Any:
    """Return a column's value; a dot leads into a field of it."""
    if column in row:
        return row[column]
    value: Any = row
    for name in column.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _text(values: Row, role: str) -> str:
    value = values.get(role)
    if not isinstance(value, str):
        raise MalformedError(f"missing_{role}")
    return value


def _identity(values: Row, wanted: Dataset) -> str:
    content = "\0".join(str(value) for value in values.values())
    key = values.get("id")
    if key is None or key == "":
        key = xxhash.xxh3_64_hexdigest(content.encode("utf-8", "replace"))
    return f"{wanted.source}:{key}"


def _document(values: Row, wanted: Dataset) -> RawDocument:
    return RawDocument(
        id=_identity(values, wanted),
        title=_text(values, "title"),
        sections=[RawSection("", 0, _text(values, "text"))],
        abstract=str(values.get("abstract") or ""),
        url=str(values.get("url") or ""),
        date=str(values.get("date") or "")[:10],
        language=values.get("language") or wanted.language,
    )


def _pair(values: Row, wanted: Dataset) -> RawPair | RawTranslation:
    sides = _text(values, "query"), _text(values, "positive")
    languages = (
        values.get("query_language") or wanted.query_language,
        values.get("language") or wanted.language,
    )
    identity = _identity(values, wanted)
    if wanted.relation != "parallel":
        return RawPair(*sides, wanted.relation, *languages, identity)
    score = values.get("score")
    if "score" in values and not isinstance(score, int | float):
        raise MalformedError("malformed_score")
    return RawTranslation(*sides, *languages, identity, score)


def _labelled(values: Row, wanted: Dataset) -> RawLabelled:
    return RawLabelled(
        id=_identity(values, wanted),
        query=_text(values, "query"),
        positives=[Passage(text) for text in texts_of(values, "positive")],
        negatives=[Passage(text) for text in texts_of(values, "negative", required=False)],
        query_language=values.get("query_language") or wanted.query_language,
        language=values.get("language") or wanted.language,
    )


_PARSERS = {"document": _document, "pair": _pair, "labelled": _labelled}
