"""MIRACL, Mr.TyDi and MLDR as they are published, one folder a language."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from curation import storage
from curation.errors import InputError
from pipelines.evaluation.formats import files
from pipelines.evaluation.formats.files import Content, add, find, rows, titled


def read_miracl(folder: str, corpus: str, split: str) -> Content:
    """Return miracl-v1.0-LANG: topics/*.tsv and qrels/*.tsv; documents of miracl-corpus-v1.0-LANG.

    A document whose id equals a query's stays in the corpus: leaving it out was the error behind
    the paper's first MIRACL figures.
    """
    split = split or "dev"
    topics = _file_of(storage.join(folder, "topics"), split)
    queries = dict(line.split("\t", 1) for line in files.lines(topics) if "\t" in line)
    judged = files.qrels(_file_of(storage.join(folder, "qrels"), split))
    if not corpus:
        raise InputError(
            f"the passages of {folder} are published apart: set `corpus` to the folder of "
            "miracl-corpus-v1.0-LANG"
        )
    return Content(queries, _documents(corpus, "docid"), judged)


def _file_of(folder: str, split: str) -> str:
    """Return the file of a split: `topics.miracl-v1.0-ar-dev.tsv`."""
    listed = storage.list_files(storage.local_path(folder))
    found = [path for path in listed if f"-{split}." in path or f".{split}." in path]
    if len(found) != 1:
        raise InputError(f"{folder} holds {len(found)} files of the split {split!r}, not one")
    return found[0]


def _documents(folder: str, key: str) -> dict[str, str]:
    """Return the documents of every JSONL file of a folder."""
    documents: dict[str, str] = {}
    paths = [path for path in storage.list_files(storage.local_path(folder)) if ".jsonl" in path]
    if not paths:
        raise InputError(f"{folder} holds no .jsonl file: it is no corpus")
    for path in paths:
        for row in rows(path, key):
            add(documents, row[key], _text(row), path)
    return documents


def _text(row: dict[str, Any]) -> str:
    """Return a document's text; Mr.TyDi's first release has it in `contents`."""
    return str(row["contents"]) if "contents" in row else titled(row)


def read_mr_tydi(folder: str, corpus: str, split: str) -> Content:
    """Return mrtydi-v1.1-LANGUAGE: SPLIT.jsonl with positive_passages, or topic, qrels, collection.

    The documents are corpus.jsonl of the `corpus` folder, or collection/docs.jsonl of this one.
    """
    split = split or "test"
    topics = storage.join(storage.local_path(folder), f"topic.{split}.tsv")
    if storage.exists(topics):
        queries = dict(line.split("\t", 1) for line in files.lines(topics))
        judged = files.qrels(find(folder, (f"qrels.{split}.txt",)))
        return Content(queries, _documents(storage.join(folder, "collection"), "id"), judged)
    content = _with_passages(find(folder, (f"{split}.jsonl",)))
    content.corpus = _documents_of(find(corpus or folder, ("corpus.jsonl",)))
    return content


def read_mldr(folder: str, corpus: str, split: str) -> Content:
    """Return mldr-v1.0-LANG: SPLIT.jsonl with positive_passages, corpus.jsonl {docid, text}."""
    content = _with_passages(find(folder, (f"{split or 'test'}.jsonl",)))
    content.corpus = _documents_of(find(corpus or folder, ("corpus.jsonl",)))
    return content


def _documents_of(path: str) -> dict[str, str]:
    documents: dict[str, str] = {}
    for row in rows(path, "docid", "text"):
        add(documents, row["docid"], titled(row), path)
    return documents


def _with_passages(path: str) -> Content:
    """Return queries and judgements of rows that carry their passages."""
    content = Content({}, {})
    for row in rows(path, "query_id", "query", "positive_passages"):
        query = str(row["query_id"])
        content.queries[query] = row["query"]
        content.judgements[query] = dict(_grades(row["positive_passages"]))
    return content


def _grades(passages: Iterable[dict[str, Any]]) -> Iterator[tuple[str, int]]:
    for passage in passages:
        yield str(passage["docid"]), 1
