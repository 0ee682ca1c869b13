"""BEIR's and FlagEmbedding's evaluation folders, and FlagEmbedding's query/pos/neg rows."""

from __future__ import annotations

from functools import lru_cache

from curation import storage
from curation.errors import InputError
from pipelines.evaluation.formats import files
from pipelines.evaluation.formats.files import Content, add, find, rows, titled


def read(folder: str, corpus: str, split: str) -> Content:
    """Return a BEIR folder: corpus.jsonl, queries.jsonl, qrels.tsv or qrels/SPLIT.tsv.

    The qrels may also be TREC's four columns. With `corpus` the documents are another folder's.
    """
    judged = files.qrels(find(folder, ("qrels.tsv", f"qrels/{split or 'test'}.tsv")))
    queries = rows(find(folder, ("queries.jsonl",)), "_id", "text")
    texts = {str(row["_id"]): row["text"] for row in queries}
    return Content(texts, read_corpus(corpus or folder), judged)


def read_corpus(folder: str, key: str = "_id") -> dict[str, str]:
    """Return the documents of a folder's corpus.jsonl: BEIR's with _id, FlagEmbedding's with id.

    The same value comes again while the file is the same: it is not to be changed.
    """
    path = find(folder, ("corpus.jsonl",))
    return _documents(path, key, str(storage.describe_file(path)))


@lru_cache(maxsize=1)  # sets of many languages search one corpus
def _documents(path: str, key: str, _state: str) -> dict[str, str]:
    documents: dict[str, str] = {}
    for row in rows(path, key, "text"):
        add(documents, row[key], titled(row), path)
    return documents


def read_flagembedding(path: str, corpus: str, split: str) -> Content:
    """Return FlagEmbedding's evaluation folder, or a file of query/pos/neg rows.

    In a folder the documents are corpus.jsonl with {id, title, text}. Of rows, the corpus is all
    distinct texts of pos and neg, and of the `corpus` file's {text} where there is one.
    """
    if path.partition(".")[2].startswith("jsonl") or not storage.is_folder(path):
        return _of_rows(path, corpus)
    split = split or "test"
    judged: files.Judgements = {}
    for row in rows(find(path, (f"{split}_qrels.jsonl",)), "qid", "docid", "relevance"):
        judged.setdefault(str(row["qid"]), {})[str(row["docid"])] = int(row["relevance"])
    listed = rows(find(path, (f"{split}_queries.jsonl",)), "id", "text")
    return Content(
        {str(row["id"]): row["text"] for row in listed}, read_corpus(corpus or path, "id"), judged
    )


def _of_rows(path: str, corpus: str) -> Content:
    """Return query/pos/neg rows as a set: rows of one query are one query."""
    numbers: dict[str, str] = {}
    content = Content({}, {})
    query_ids: dict[str, str] = {}
    for row in rows(path, "query", "pos"):
        for text in (*row["pos"], *(row.get("neg") or ())):
            numbers.setdefault(text, f"d{len(numbers)}")
        query = query_ids.setdefault(row["query"], f"q{len(query_ids)}")
        judged = content.judgements.setdefault(query, {})
        judged.update({numbers[text]: 1 for text in row["pos"]})
    if corpus:
        for row in rows(corpus, "text"):
            numbers.setdefault(row["text"], f"d{len(numbers)}")
    if not numbers:
        raise InputError(f"{path} holds no row with query and pos")
    content.queries = {identity: text for text, identity in query_ids.items()}
    content.corpus = {identity: text for text, identity in numbers.items()}
    return content
