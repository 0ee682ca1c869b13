"""Corpora to search, in the formats they come in: BEIR folders, JSON lines, Parquet."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow.parquet as pq
import zstandard

from curation import parquet, storage
from curation.errors import InputError
from curation.extract import language_code
from curation.language_codes import canonical_code
from mining.hybrid_parts import Passage

_IDS = ("_id", "id", "docid", "doc_id", "document_id")
_TEXTS = ("text", "contents", "passage", "body")
_LANGUAGES = ("language", "lang")
_SUFFIXES = (".jsonl", ".json", ".jsonl.gz", ".json.gz", ".jsonl.zst", ".parquet")


def corpus_files(patterns: Sequence[str]) -> list[str]:
    """Return the files of paths, globs and folders; raise `InputError` for what holds no corpus.

    Of a folder it is corpus.jsonl (BEIR), else all its Parquet and JSON lines files.
    """
    files = [path for pattern in patterns for path in _files_of(pattern)]
    for path in files:
        if not path.endswith(_SUFFIXES):
            raise InputError(f"{path} is no corpus: a file ends in {', '.join(_SUFFIXES)}")
    return files


def _files_of(pattern: str) -> list[str]:
    if not storage.is_folder(pattern):
        return storage.expand(pattern)
    folder = storage.local_path(pattern)
    for name in ("corpus.jsonl", "corpus.jsonl.gz"):
        if storage.exists(storage.join(folder, name)):
            return [storage.join(folder, name)]
    found = [path for path in storage.files_under(folder) if path.endswith(_SUFFIXES)]
    if not found:
        raise InputError(f"the folder {pattern} holds no corpus.jsonl, Parquet or JSON lines file")
    return found


def read_passages(paths: Iterable[str], language: str = "") -> Iterator[Passage]:
    """Yield the passages of corpus files; `language` is that of passages which name none.

    Raises `InputError` for a row without text, with its place; without an id, a passage is called
    by its file's name and row.
    """
    for path in paths:
        rows = _parquet_rows(path) if path.endswith(".parquet") else _json_rows(path)
        for number, row in enumerate(rows, 1):
            yield _passage(row, f"{path.rsplit('/', 1)[-1]}:{number}", language)


def _passage(row: Mapping[str, Any], place: str, language: str) -> Passage:
    text = _first(row, _TEXTS)
    title = row.get("title")
    if not isinstance(text, str):
        raise InputError(
            f"{place} has no text: a row has one of {', '.join(_TEXTS)}; it has {', '.join(row)}"
        )
    identity = _first(row, _IDS)
    code = language_code(_first(row, _LANGUAGES))
    return Passage(
        id=place if identity is None else str(identity),
        text=_valid(text),
        title=_valid(title) if isinstance(title, str) else "",
        language=canonical_code(code) if code and code != "und" else language,
        url=str(row.get("url") or ""),
    )


def _valid(text: str) -> str:
    """Return text that UTF-8 can hold: a lone surrogate is no character."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _parquet_rows(path: str) -> Iterator[Mapping[str, Any]]:
    wanted = {"title", "url", *_IDS, *_TEXTS, *_LANGUAGES}
    with storage.open_read(path) as handle:
        columns = [name for name in pq.read_schema(handle).names if name in wanted]
    yield from parquet.rows(path, columns, 1024)


def _json_rows(path: str) -> Iterator[Mapping[str, Any]]:
    with storage.open_read(path) as raw:
        for number, line in enumerate(_unpacked(path, raw), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InputError(f"{path}:{number} is no JSON: {error}") from error
            if not isinstance(row, dict):
                raise InputError(f"{path}:{number} is no JSON object")
            yield row


def _unpacked(path: str, raw: Any) -> Iterator[bytes]:
    if path.endswith(".gz"):
        with gzip.open(raw) as lines:
            yield from lines
    elif path.endswith(".zst"):
        with zstandard.ZstdDecompressor().stream_reader(raw) as stream:
            yield from io.BufferedReader(stream)
    else:
        yield from raw
