"""Judged collections to labelled queries."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from curation.records import Reject
from curation.sources.judgements import Judged, read_judged
from curation.sources.opener import Opener
from curation.sources.raw import Passage, RawLabelled

CORPUS = [
    {"_id": "d1", "title": "A book", "text": "Ann wrote it."},
    {"_id": "d2", "title": "", "text": "It is red."},
    {"_id": "d3", "text": "Nobody asked."},
]
QUERIES = [{"_id": "q1", "text": "who wrote it"}, {"_id": "q2", "text": "what colour"}]
BEIR = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\nq1\td2\t0\n"


def json_lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def read(
    folder: Path,
    judgements: str = BEIR,
    queries: bytes | None = None,
    corpus: bytes | None = None,
    block: int = 100,
) -> list[Any]:
    files = {
        "qrels": judgements.encode(),
        "queries": json_lines(QUERIES) if queries is None else queries,
        "corpus": json_lines(CORPUS) if corpus is None else corpus,
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    paths = [str(folder / name) for name in files]
    judged = Judged(paths[0], (paths[1],), (paths[2],), "set")
    return list(read_judged(Opener(), judged, block))


EXPECTED = [
    RawLabelled(
        "set:q1",
        "who wrote it",
        [Passage("A book\nAnn wrote it.", "d1")],
        [Passage("It is red.", "d2")],
    ),
    RawLabelled("set:q2", "what colour", [Passage("It is red.", "d2")], []),
]  # fmt: skip


def reasons(found: list[Any]) -> list[str]:
    return [record.reason if isinstance(record, Reject) else "" for record in found]


def test_a_beir_folder(tmp_path: Path) -> None:
    """Relevant documents are positives, those judged irrelevant negatives."""
    assert read(tmp_path) == EXPECTED


def test_trec_judgements_and_tab_separated_texts(tmp_path: Path) -> None:
    """MS MARCO's and Mr. TyDi's files say the same."""
    found = read(
        tmp_path,
        "q1 Q0 d1 1\nq2\t0\td2\t2\nq1 Q0 d2 0\n",
        b"q1\twho wrote it\nq2\twhat colour\n",
        b"d1\tA book\tAnn wrote it.\nd2\tIt is red.\n",
    )
    assert found == EXPECTED


@pytest.mark.parametrize(
    "row",
    [
        {"docid": "d1", "title": "A book", "text": "Ann wrote it."},
        {"id": "d1", "contents": "A book\nAnn wrote it."},
        {"id": "d1", "text": "A book\nAnn wrote it.", "contents": "other"},
    ],
    ids=["miracl", "mrtydi", "both"],
)
def test_names_of_fields(tmp_path: Path, row: dict[str, Any]) -> None:
    """Ids and texts go by several names."""
    corpus = json_lines([row, CORPUS[1]])
    queries = json_lines([{"query_id": "q1", "query": "who wrote it"}, QUERIES[1]])
    assert read(tmp_path, queries=queries, corpus=corpus) == EXPECTED


def test_blocks_hold_few_texts_and_say_the_same(tmp_path: Path) -> None:
    """Queries whose judgements lie in one block are whole; others come once a block."""
    judgements = "q1\td1\t1\nq1\td2\t0\nq2\td2\t1\n"
    assert read(tmp_path, judgements, block=2) == EXPECTED
    split = read(tmp_path, judgements, block=1)
    assert [(r.id, len(r.positives), len(r.negatives)) for r in split] == [
        ("set:q1", 1, 0),
        ("set:q1", 0, 1),
        ("set:q2", 1, 0),
    ]


def test_missing_ids_are_counted(tmp_path: Path) -> None:
    """A judgement of a document or query that is nowhere is a reject; the others are read."""
    found = read(tmp_path, BEIR + "q2\td9\t1\nq9\td1\t1\n")
    assert reasons(found) == ["missing_document", "", "", "missing_query"]
    assert [r for r in found if isinstance(r, RawLabelled)] == EXPECTED


@pytest.mark.parametrize("line", ["q1", "q1 d1", "q1 0 d1 x 1", "q1 d1 yes", "q1 d1 1 1 1", "\0"])
def test_a_damaged_judgement_costs_itself(tmp_path: Path, line: str) -> None:
    """The others are read."""
    found = read(tmp_path, BEIR + line + "\n")
    assert reasons(found) == ["malformed_judgement", "", ""]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"_id": "d1", ', "malformed_json"),
        (b'{"title": "x"}', "missing_id"),
        (b"no tab", "missing_columns"),
        (b'{"_id": "d1", "text": 3}', "missing_text"),
    ],
)
def test_damaged_texts_are_counted_once(tmp_path: Path, line: bytes, reason: str) -> None:
    """Although the corpus is read once for every block."""
    found = read(tmp_path, corpus=line + b"\n\n" + json_lines(CORPUS), block=1)
    assert sorted(reasons(found)) == sorted(["", "", "", reason])


def test_a_corpus_cut_short(tmp_path: Path) -> None:
    """What lies before the cut is found; the judgements of the rest are counted."""
    rows = [{"_id": f"d{i}", "text": f"text {i * 7919}"} for i in range(2000)]
    judgements = "".join(f"q{i % 2 + 1}\td{i}\t1\n" for i in range(2000))
    corpus = gzip.compress(json_lines(rows))
    found = read(tmp_path, judgements, corpus=corpus[: len(corpus) // 2])
    passages = sum(len(r.positives) for r in found if isinstance(r, RawLabelled))
    missing = reasons(found).count("missing_document")
    assert 500 < passages < 1500
    assert passages + missing == 2000
