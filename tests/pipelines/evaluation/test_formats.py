"""Sets as they are published: each reader on files of the publisher's own shape."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from curation.errors import InputError
from curation.splits import SplitConfig
from pipelines.evaluation.config import EvaluationSet
from pipelines.evaluation.sets import RetrievalSet, expand, load_set


def jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    plain(path, text)


def plain(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def load(kind: str, path: Path, **options: Any) -> list[RetrievalSet]:
    wanted = EvaluationSet(kind=kind, path=str(path), **options)
    return [load_set(one, "", SplitConfig()) for one in expand(wanted)]


def corpus_of(data: RetrievalSet) -> dict[str, str]:
    return dict(zip(data.document_ids, data.documents, strict=True))


def queries_of(data: RetrievalSet) -> dict[str, str]:
    return dict(zip(data.query_ids, data.queries, strict=True))


def test_flagembeddings_evaluation_folder(tmp_path: Path) -> None:
    """corpus {id, title?, text}, SPLIT_queries {id, text}, SPLIT_qrels {qid, docid, relevance}."""
    jsonl(
        tmp_path / "corpus.jsonl",
        [{"id": "a", "title": "T", "text": "x"}, {"id": "b", "text": "y"}],
    )
    jsonl(
        tmp_path / "dev_queries.jsonl", [{"id": "1", "text": "what?"}, {"id": "2", "text": "no?"}]
    )
    jsonl(tmp_path / "dev_qrels.jsonl", [{"qid": "1", "docid": "b", "relevance": 2}])
    [found] = load("flagembedding", tmp_path, split="dev")
    assert corpus_of(found) == {"a": "T\nx", "b": "y"}
    assert (queries_of(found), found.judgements) == ({"1": "what?"}, {"1": {"b": 2}})
    with pytest.raises(InputError, match=r"holds no test_qrels\.jsonl"):
        load("flagembedding", tmp_path)


def test_flagembeddings_rows(tmp_path: Path) -> None:
    """The corpus is all texts of pos and neg, each once; rows of one query are one query."""
    rows = [
        {"query": "q", "pos": ["right"], "neg": ["wrong", "other"]},
        {"query": "q", "pos": ["also right"], "neg": ["wrong"]},
        {"query": "r", "pos": ["other"]},
    ]
    jsonl(tmp_path / "rows.jsonl.gz", rows)
    jsonl(tmp_path / "pool.jsonl", [{"text": "far"}, {"text": "wrong"}])
    [found] = load("flagembedding", tmp_path / "rows.jsonl.gz", corpus=str(tmp_path / "pool.jsonl"))
    texts = corpus_of(found)
    assert sorted(texts.values()) == ["also right", "far", "other", "right", "wrong"]
    relevant = {
        query: {texts[name] for name in found.judgements[identity]}
        for identity, query in queries_of(found).items()
    }
    assert relevant == {"q": {"right", "also right"}, "r": {"other"}}


def write_miracl(folder: Path, language: str) -> None:
    base = folder / f"miracl-v1.0-{language}"
    name = f"miracl-v1.0-{language}-dev.tsv"
    plain(base / "topics" / f"topics.{name}", "0\tWho?\n1\tWhere?\n")
    plain(base / "topics" / f"topics.{name.replace('dev', 'testA')}", "9\tUnjudged?\n")
    plain(base / "qrels" / f"qrels.{name}", "0\tQ0\t0\t1\n0\tQ0\t1#3\t0\n1\tQ0\t1#3\t1\n")
    documents = [
        {"docid": "0", "title": "A", "text": "a"},
        {"docid": "1#3", "title": "B", "text": "b"},
    ]
    for number, row in enumerate(documents):
        jsonl(folder / f"miracl-corpus-v1.0-{language}" / f"docs-{number}.jsonl.gz", [row])


def test_miracl_in_two_languages(tmp_path: Path) -> None:
    """Topics, TREC judgements, passages apart; title, newline, text; a query's id is no bar."""
    for language in ("fa", "yo"):
        write_miracl(tmp_path, language)
    corpus = str(tmp_path / "miracl-corpus-v1.0-{language}")
    found = load("miracl", tmp_path / "miracl-v1.0-*", corpus=corpus, preset="miracl")
    assert [(one.language, one.benchmark) for one in found] == [
        ("fa", "miracl-v1.0"),
        ("yo", "miracl-v1.0"),
    ]
    assert corpus_of(found[0]) == {"0": "A\na", "1#3": "B\nb"}
    assert queries_of(found[0]) == {"0": "Who?", "1": "Where?"}
    assert found[0].judgements == {"0": {"0": 1, "1#3": 0}, "1": {"1#3": 1}}
    with pytest.raises(InputError, match="published apart: set `corpus`"):
        load("miracl", tmp_path / "miracl-v1.0-fa")
    with pytest.raises(InputError, match="holds 0 files of the split 'train', not one"):
        load("miracl", tmp_path / "miracl-v1.0-fa", split="train", corpus=corpus)


def test_mr_tydi_as_rows_and_as_first_released(tmp_path: Path) -> None:
    """The hub's rows carry their passages; the archive has topics, judgements and a collection."""
    passage = {"docid": "1#0", "title": "T", "text": "x"}
    row = {
        "query_id": "7",
        "query": "mitä?",
        "positive_passages": [passage],
        "negative_passages": [],
    }
    hub = tmp_path / "hub/mrtydi-v1.1-finnish"
    jsonl(hub / "test.jsonl.gz", [row])
    jsonl(
        tmp_path / "hub/corpus/corpus.jsonl.gz",
        [passage, {"docid": "2#0", "title": "", "text": "y"}],
    )
    [found] = load("mr-tydi", hub, corpus=str(tmp_path / "hub/corpus"))
    assert (found.language, found.judgements) == ("fi", {"7": {"1#0": 1}})
    assert corpus_of(found) == {"1#0": "T\nx", "2#0": "y"}

    archive = tmp_path / "archive/mrtydi-v1.1-finnish"
    plain(archive / "topic.test.tsv", "7\tmitä?\n")
    plain(archive / "qrels.test.txt", "7 Q0 1#0 1\n")
    jsonl(archive / "collection/docs.jsonl.gz", [{"id": "1#0", "contents": "T\n\nx"}])
    [first] = load("mr-tydi", archive)
    assert (queries_of(first), first.judgements) == (queries_of(found), found.judgements)
    assert corpus_of(first) == {"1#0": "T\n\nx"}


def test_mldr(tmp_path: Path) -> None:
    """SPLIT.jsonl with positive_passages {docid, text}, corpus.jsonl {docid, text}."""
    base = tmp_path / "mldr-v1.0-de"
    row = {
        "query_id": "q-1",
        "query": "Was?",
        "positive_passages": [{"docid": "doc-1", "text": "x"}],
    }
    jsonl(base / "test.jsonl.gz", [row | {"negative_passages": []}])
    jsonl(
        base / "corpus.jsonl.gz", [{"docid": "doc-1", "text": "x"}, {"docid": "doc-2", "text": "y"}]
    )
    [found] = load("mldr", base, preset="mldr")
    assert (found.language, found.judgements) == ("de", {"q-1": {"doc-1": 1}})
    assert corpus_of(found) == {"doc-1": "x", "doc-2": "y"}


def write_mkqa(folder: Path) -> None:
    """Three questions in three languages: answered, answered by a date, without an answer."""
    kinds = [("entity", "Ångström"), ("date", "1999"), ("unanswerable", None)]
    rows = [
        {
            "example_id": -100 - i,
            "query": "who?",
            "queries": {"en": "who?", "da": f"hvem {i}?", "ja": f"誰 {i}?"},
            "answers": {
                "en": [{"type": kind, "text": text, "aliases": ["A. Ångström"] if not i else []}],
                "da": [{"type": kind, "text": "dansk"}],
            },
        }
        for i, (kind, text) in enumerate(kinds)
    ]
    jsonl(folder / "mkqa.jsonl.gz", rows)
    corpus = [
        {"_id": "doc0", "title": "", "text": "x"},
        {"_id": "doc1", "title": "", "text": "1999"},
    ]
    jsonl(folder / "nq/corpus.jsonl", corpus)


def test_mkqa_in_all_its_languages(tmp_path: Path) -> None:
    """A set for each language but English, with English answers and aliases, over NQ's passages."""
    write_mkqa(tmp_path)
    found = load("mkqa", tmp_path / "mkqa.jsonl.gz", corpus=str(tmp_path / "nq"), preset="mkqa")
    assert [(s.name, s.language, s.document_language) for s in found] == [
        ("mkqa-da", "da", "en"),
        ("mkqa-ja", "ja", "en"),
    ]
    assert found[0].answers == {"-100": ["Ångström", "A. Ångström"], "-101": ["1999"]}
    assert queries_of(found[1]) == {"-100": "誰 0?", "-101": "誰 1?"}
    assert found[0].judgements == {}
    with pytest.raises(InputError, match="has no questions in 'xx', but in da, en, ja"):
        load("mkqa", tmp_path / "mkqa.jsonl.gz", corpus=str(tmp_path / "nq"), language="xx")
    with pytest.raises(InputError, match="has no documents: set `corpus`"):
        load("mkqa", tmp_path / "mkqa.jsonl.gz")


def test_mkqa_in_one_language_a_file(tmp_path: Path) -> None:
    """{id, question, answers}, as FlagEmbedding has it; the name tells the language."""
    write_mkqa(tmp_path)
    jsonl(tmp_path / "mkqa-fi.jsonl", [{"id": "5", "question": "kuka?", "answers": ["x"]}])
    [found] = load("mkqa", tmp_path / "mkqa-fi.jsonl", corpus=str(tmp_path / "nq"))
    assert (found.language, found.answers, queries_of(found)) == (
        "fi",
        {"5": ["x"]},
        {"5": "kuka?"},
    )


def test_narrativeqa_for_retrieval_and_as_its_authors_have_it(tmp_path: Path) -> None:
    """LongEmbed's three files; or documents.csv, qaps.csv and the stories."""
    hub = tmp_path / "hub"
    jsonl(
        hub / "corpus.jsonl", [{"doc_id": "s1", "text": "Once."}, {"doc_id": "s2", "text": "Then."}]
    )
    jsonl(hub / "queries.jsonl", [{"qid": "q", "text": "When?"}])
    jsonl(hub / "qrels.jsonl", [{"qid": "q", "doc_id": "s1"}])
    [found] = load("narrativeqa", hub)
    assert (found.judgements, corpus_of(found)) == (
        {"q": {"s1": 1}},
        {"s1": "Once.", "s2": "Then."},
    )

    authors = tmp_path / "authors"
    plain(authors / "documents.csv", "document_id,set,kind\ns1,test,gutenberg\ns2,train,movie\n")
    questions = 'document_id,set,question,answer1\ns1,test,"When, and why?",now\ns2,train,Who?,me\n'
    plain(authors / "qaps.csv", questions)
    plain(authors / "tmp/s1.content", "Once.\nUpon a time.\n")
    [first] = load("narrativeqa", authors)
    assert corpus_of(first) == {"s1": "Once.\nUpon a time."}
    assert list(queries_of(first).values()) == ["When, and why?"]
    assert list(first.judgements.values()) == [{"s1": 1}]
    with pytest.raises(InputError, match="has no question of the split 'dev'; there are train"):
        load("narrativeqa", authors, split="dev")
