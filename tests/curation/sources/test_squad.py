"""SQuAD's JSON to labelled queries."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from curation.records import Reject
from curation.sources import squad
from curation.sources.raw import Passage, RawLabelled


def article(*paragraphs: Any) -> dict[str, Any]:
    return {"title": "Old_Houses", "paragraphs": list(paragraphs)}


def paragraph(context: Any = "It is old.", *qas: Any) -> dict[str, Any]:
    return {"context": context, "qas": list(qas or [question()])}


def question(text: Any = "How old?", **fields: Any) -> dict[str, Any]:
    return {"id": "q1", "question": text, "answers": [{"text": "old", "answer_start": 6}]} | fields


def read(value: Any) -> list[RawLabelled | Reject]:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return list(squad.read_questions(io.BytesIO(data), "squad"))


def test_a_question_is_answered_by_its_paragraph() -> None:
    """Each paragraph of each article; ids are the data set's own."""
    data = {
        "version": "1.1",
        "data": [article(paragraph(), paragraph("It is new.", question(id="q2"))), article()],
    }
    assert read(data) == [
        RawLabelled("squad:q1", "How old?", [Passage("It is old.")], []),
        RawLabelled("squad:q2", "How old?", [Passage("It is new.")], []),
    ]


def test_a_bare_list_of_articles() -> None:
    """Some copies lack the object around them."""
    assert len(read([article(paragraph())])) == 1


REJECTED = {
    "unanswerable": paragraph("It is old.", question(is_impossible=True)),
    "missing_question": paragraph("It is old.", question(None)),
    "missing_context": paragraph(None),
}


@pytest.mark.parametrize("reason", REJECTED)
def test_an_unusable_question_is_rejected_alone(reason: str) -> None:
    """Its neighbours are read."""
    found = read({"data": [article(paragraph(), REJECTED[reason], paragraph())]})
    assert [getattr(record, "reason", "") for record in found] == ["", reason, ""]


@pytest.mark.parametrize(
    "data", [b'{"data": [', b"[" * 200_000, b"\xff"], ids=["cut", "deep", "bytes"]
)
def test_a_file_that_is_no_json(data: bytes) -> None:
    """One reject for the file: it is one value."""
    (found,) = read(data)
    assert isinstance(found, Reject)
    assert found.reason == "malformed_json"


def test_a_file_beyond_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not parsed."""
    monkeypatch.setattr(squad, "MAX_FILE", 100)
    (found,) = read({"data": [article(paragraph("x" * 200))]})
    assert isinstance(found, Reject)
    assert found.reason == "file_too_large"


@pytest.mark.parametrize(
    "value", [{"data": [1, {"paragraphs": "x"}, {"paragraphs": [{"qas": [None]}]}]}, 3, {}, []]
)
def test_what_holds_no_question_gives_nothing(value: Any) -> None:
    """Fields of other types are passed over."""
    assert read(value) == []
