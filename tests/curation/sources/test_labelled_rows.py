"""Rows with their own passages to labelled queries."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import IO, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.records import Reject
from curation.sources import lines
from curation.sources.labelled_rows import read_flagembedding, read_nli, read_passages
from curation.sources.raw import Passage, RawLabelled

Reader = Callable[[IO[bytes], str], Iterator[RawLabelled | Reject]]

ROW = {
    "query": "who wrote it",
    "pos": ["Ann did."],
    "neg": ["Bob read it.", "It is red."],
    "pos_scores": [0.9],
    "neg_scores": [0.4, -1],
    "prompt": "Represent this:",
    "type": "normal",
}
PASSAGES = {
    "query_id": "7",
    "query": "who wrote it",
    "positive_passages": [{"docid": "d1", "title": "A book", "text": "Ann did."}],
    "negative_passages": [{"docid": "d2", "title": "", "text": "It is red."}],
}


def read(reader: Reader, *rows: Any) -> list[Any]:
    data = b"".join(r if isinstance(r, bytes) else json.dumps(r).encode() + b"\n" for r in rows)
    return list(reader(io.BytesIO(data), "set"))


def reasons(found: list[Any]) -> list[str]:
    return [record.reason if isinstance(record, Reject) else "" for record in found]


def test_flagembedding_rows() -> None:
    """Passages and a teacher's scores; the id is a digest of the row."""
    (found,) = read(read_flagembedding, ROW)
    assert (found.query, found.positives) == ("who wrote it", [Passage("Ann did.")])
    assert found.negatives == [Passage("Bob read it."), Passage("It is red.")]
    assert (found.positive_scores, found.negative_scores) == ([0.9], [0.4, -1.0])
    assert found.id.startswith("set:")
    assert read(read_flagembedding, ROW | {"query": "when"})[0].id != found.id


def test_flagembedding_ids_and_single_texts() -> None:
    """Ids are taken where there is one for each passage; one text stands for a list."""
    row = {"query": "q", "pos": "p", "pos_id": ["d1"], "neg": ["n", "m"], "neg_id": ["d2"]}
    (found,) = read(read_flagembedding, row)
    assert found.positives == [Passage("p", "d1")]
    assert found.negatives == [Passage("n"), Passage("m")]
    assert found.positive_scores is None


@pytest.mark.parametrize(
    "scores", [[0.1], [0.1, "x"], [0.1, None], "0.1", [True, 0.1], [float("nan"), 1], [10**400, 1]],
    ids=str,
)  # fmt: skip
def test_scores_that_do_not_fit_are_none(scores: Any) -> None:
    """A row with broken scores is a row without."""
    (found,) = read(read_flagembedding, ROW | {"neg_scores": scores})
    assert found.negative_scores is None


BAD_ROWS: dict[str, tuple[Reader, Any]] = {
    "malformed_json": (read_flagembedding, b'{"query": "a", "pos": ["b"\n'),
    "not_an_object": (read_flagembedding, ["a"]),
    "missing_query": (read_flagembedding, ROW | {"query": None}),
    "missing_pos": (read_flagembedding, ROW | {"pos": [1]}),
    "missing_neg": (read_flagembedding, ROW | {"neg": {"a": "b"}}),
    "classification_row": (read_flagembedding, ROW | {"type": "symmetric_class"}),
    "missing_positive_passages": (read_passages, PASSAGES | {"positive_passages": ["text"]}),
    "missing_text": (read_passages, PASSAGES | {"negative_passages": [{"docid": "d"}]}),
}


@pytest.mark.parametrize("reason", BAD_ROWS)
def test_a_damaged_row_costs_itself(reason: str) -> None:
    """Its neighbours are read, blank lines are none."""
    reader, row = BAD_ROWS[reason]
    whole = ROW if reader is read_flagembedding else PASSAGES
    assert reasons(read(reader, whole, row, b"\n", whole)) == ["", reason, ""]


def test_deep_and_endless_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nesting and length are bounded."""
    monkeypatch.setattr(lines.read_lines, "__defaults__", (1 << 18,))
    deep = b'{"query": ' + b"[" * 100_000 + b"\n"
    endless = b'{"query": "' + b"a" * (1 << 19) + b'"}\n'
    found = read(read_flagembedding, deep, endless, ROW)
    assert reasons(found) == ["malformed_json", "line_too_long", ""]


def test_rows_with_passages() -> None:
    """A title stands on a line before its text, as in evaluation corpora."""
    (found,) = read(read_passages, PASSAGES)
    assert found.id == "set:7"
    assert found.positives == [Passage("A book\nAnn did.", "d1")]
    assert found.negatives == [Passage("It is red.", "d2")]


NLI = 'sent0,sent1,hard_neg\n"A man, old, walks.",He moves.,He sleeps.\nA,B,\n'


def test_nli_triples() -> None:
    """Quoted cells may hold commas; without a contradiction there is no negative."""
    first, second = read(read_nli, NLI.encode())
    assert (first.query, first.positives) == ("A man, old, walks.", [Passage("He moves.")])
    assert first.negatives == [Passage("He sleeps.")]
    assert (second.query, second.negatives) == ("A", [])


def test_nli_columns_are_found_by_name() -> None:
    """In any order; a row that ends early lacks its last column."""
    first, second = read(read_nli, b"hard_neg,sent1,sent0\nn,p,q\nn,p\n")
    assert (first.query, first.positives, first.negatives) == ("q", [Passage("p")], [Passage("n")])
    assert second.reason == "missing_sent0"


@pytest.mark.parametrize("limit", [1 << 17, 1 << 20], ids=["fresh", "after another reader"])
def test_nli_damage_is_bounded(limit: int) -> None:
    """A quote that is never closed ends at the bound of a cell, whatever was read before."""
    csv.field_size_limit(limit)
    rows = b"".join(b"%d,p%d,n\n" % (i, i) for i in range(40_000))
    found = read(read_nli, b'sent0,sent1,hard_neg\nq,p,n\n"open,p,n\n' + rows)
    assert reasons(found[:2]) == ["", "malformed_csv"]
    good = [r for r in found if isinstance(r, RawLabelled)]
    assert len(good) > 20_000


@given(st.binary(max_size=200))
@settings(deadline=None, max_examples=100)
def test_any_bytes_leave_the_row_behind_them(noise: bytes) -> None:
    """Nothing raises, and a whole row on a line of its own is read."""
    found = read(read_flagembedding, noise.replace(b"\n", b"") + b"\n", ROW)
    assert isinstance(found[-1], RawLabelled)
    list(read_nli(io.BytesIO(noise), "set"))
