"""MKQA and NarrativeQA: questions with answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from curation import storage
from curation.errors import InputError
from pipelines.evaluation.formats import beir, files
from pipelines.evaluation.formats.files import Content, find, rows

_ENGLISH = "en"
_UNANSWERABLE = ("long_answer", "unanswerable", "no_answer_type")


def languages_of_mkqa(path: str) -> list[str]:
    """Return the languages that a published mkqa.jsonl asks in, but for the documents' English."""
    first = next(rows(path, "queries"), None)
    if first is None:
        raise InputError(f"{path} is empty")
    return sorted(code for code in first["queries"] if code != _ENGLISH)


def is_published_mkqa(path: str) -> bool:
    """Tell the published file of all languages from FlagEmbedding's file a language."""
    return "queries" in next(rows(path), {})


def read_mkqa(path: str, corpus: str, language: str) -> Content:
    """Return MKQA's questions in a language, to be answered by English documents.

    The published file has all languages and typed answers; FlagEmbedding's {id, question, answers}
    one. The documents are a BEIR folder's (the paper: BEIR's NQ). A document is relevant where it
    contains an English answer: there are no other judgements.
    """
    if not corpus:
        raise InputError(f"{path} has no documents: set `corpus` to the BEIR folder of NQ")
    content = Content({}, beir.read_corpus(corpus))
    for query, text, answers in _questions(path, language):
        if answers:
            content.queries[query], content.answers[query] = text, answers
    return content


def _questions(path: str, language: str) -> Iterator[tuple[str, str, list[str]]]:
    if not is_published_mkqa(path):
        for row in rows(path, "id", "question", "answers"):
            yield str(row["id"]), row["question"], list(row["answers"])
        return
    for row in rows(path, "example_id", "queries", "answers"):
        if language not in row["queries"]:
            raise InputError(f"{path} has no questions in {language!r}, but in {_codes(row)}")
        yield str(row["example_id"]), row["queries"][language], _texts(row["answers"][_ENGLISH])


def _codes(row: Mapping[str, Any]) -> str:
    return ", ".join(sorted(row["queries"]))


def _texts(answers: list[dict[str, Any]]) -> list[str]:
    """Return the strings of typed answers and their aliases; none where a question has none."""
    found: dict[str, None] = {}
    for answer in answers:
        if answer.get("type") not in _UNANSWERABLE and answer.get("text"):
            found.update(dict.fromkeys([answer["text"], *(answer.get("aliases") or ())]))
    return list(found)


def read_narrativeqa(folder: str, split: str) -> Content:
    """Return NarrativeQA as LongEmbed publishes it for retrieval, or as its authors do.

    LongEmbed: corpus.jsonl {doc_id, text}, queries.jsonl {qid, text}, qrels.jsonl {qid, doc_id}.
    The authors: documents.csv, qaps.csv and tmp/ID.content, the stories.
    """
    split = split or "test"
    base = storage.local_path(folder)
    if storage.exists(storage.join(base, "qaps.csv")):
        return _of_authors(base, split)
    judged: files.Judgements = {}
    for row in rows(find(folder, ("qrels.jsonl",)), "qid", "doc_id"):
        judged.setdefault(str(row["qid"]), {})[str(row["doc_id"])] = 1
    listed = rows(find(folder, ("queries.jsonl",)), "qid", "text")
    documents: dict[str, str] = {}
    path = find(folder, ("corpus.jsonl",))
    for row in rows(path, "doc_id", "text"):
        files.add(documents, row["doc_id"], row["text"], path)
    return Content({str(row["qid"]): row["text"] for row in listed}, documents, judged)


def _of_authors(folder: str, split: str) -> Content:
    listed = files.table(storage.join(folder, "documents.csv"), "document_id", "set")
    stories = [row["document_id"] for row in listed if row["set"] == split]
    paths = {story: find(folder, (f"tmp/{story}.content",)) for story in stories}
    content = Content({}, {story: "\n".join(files.lines(path)) for story, path in paths.items()})
    questions = files.table(storage.join(folder, "qaps.csv"), "document_id", "set", "question")
    for number, row in enumerate(questions):
        if row["set"] == split:
            query = f"{row['document_id']}-{number}"
            content.queries[query] = row["question"]
            content.judgements[query] = {row["document_id"]: 1}
    if not content.queries:
        raise InputError(
            f"{folder} has no question of the split {split!r}; there are train, valid, test"
        )
    return content
