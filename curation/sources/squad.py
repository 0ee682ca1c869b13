"""SQuAD-format JSON (articles → paragraphs → questions) → labelled queries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any

import xxhash

from curation.records import Reject
from curation.sources.raw import Passage, RawLabelled

MAX_FILE = 256 << 20  # the file is one JSON value, parsed in memory; SQuAD 1.1 has 30 MB


def read_questions(stream: IO[bytes], source: str) -> Iterator[RawLabelled | Reject]:
    """Yield a labelled query per question, its paragraph being the positive.

    Questions that the paragraph does not answer (`is_impossible`, SQuAD 2.0) are rejects.
    """
    data = stream.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        yield Reject(f"{source}:file", "extract", "file_too_large", source, value=f"> {MAX_FILE}")
        return
    try:
        root = json.loads(data)
    except (ValueError, RecursionError) as error:
        yield Reject(f"{source}:file", "extract", "malformed_json", source, value=str(error)[:200])
        return
    del data
    for article in _objects(root.get("data") if isinstance(root, dict) else root):
        for paragraph in _objects(article.get("paragraphs")):
            yield from _questions(paragraph, source)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects of a list; another value holds none."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def _questions(paragraph: dict[str, Any], source: str) -> Iterator[RawLabelled | Reject]:
    context = paragraph.get("context")
    for item in _objects(paragraph.get("qas")):
        question = item.get("question")
        content = f"{context}\0{question}".encode("utf-8", "replace")
        identity = f"{source}:{item.get('id') or xxhash.xxh3_64_hexdigest(content)}"
        excerpt = str(question)[:200]
        if not isinstance(context, str):
            yield Reject(identity, "extract", "missing_context", source, excerpt=excerpt)
        elif not isinstance(question, str):
            yield Reject(identity, "extract", "missing_question", source)
        elif item.get("is_impossible"):
            yield Reject(identity, "extract", "unanswerable", source, excerpt=excerpt)
        else:
            yield RawLabelled(identity, question, [Passage(context)], [])
