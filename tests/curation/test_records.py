"""Records: what is put into a table comes out equal, and nothing is guessed on the way."""

import dataclasses
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import records
from curation.records import Document, Pair, Question, Reject, Sample, Section, TrainingRow

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
small = st.integers(0, 2**31 - 1)
single = st.floats(0, 1, width=32)
quality = st.fixed_dictionaries(
    {f.name: small if pa.types.is_integer(f.type) else single for f in records.QUALITY}
)
sections = st.lists(st.builds(Section, words, st.integers(0, 6), small, small), max_size=3)
documents = st.builds(
    Document,
    *[words] * 4,
    language=words,
    declared_language=st.none() | words,
    language_score=single,
    language_agreement=st.booleans(),
    abstract=words,
    sections=sections,
    url=words,
    date=words,
    quality=quality,
    near_duplicate_cluster_size=small,
    text_hash=st.binary(min_size=16, max_size=16),
)


@given(items=st.lists(documents, max_size=4))
@settings(deadline=None, max_examples=60)
def test_documents_round_trip(items: list[Document]) -> None:
    """Documents come out of their table as they went in, sections and all."""
    table = records.to_table(items, records.DOCUMENT)
    assert table.schema.equals(records.DOCUMENT, check_metadata=True)
    assert records.documents_from(table) == items


def rows_of(number: int) -> list[tuple[Any, pa.Schema]]:
    """One record of each kind that has no nested parts, with its schema."""
    pair = Pair("q", "p", "section", "en", "en", "s", "d1", "d2", 3, number)
    question = Question(
        "q", "p", "question-document", "fr", "fr", "s", paragraph="é", paragraph_position=0.5
    )
    sample = Sample("k", "d", "u", "en", "s", "p", 2, number, 0.25, "ask", "Who", "?", ["\n"], "v1")
    row = TrainingRow(
        "i", "q", ["a"], ["b", "c"], "labelled", "s", "en", "de", 9, negative_ranks=[number, 2]
    )
    scored = dataclasses.replace(row, positive_teacher_scores=[0.5], negative_scores=[0.25, 1.0])
    reject = Reject("i", "extract", "too_short", excerpt="…")
    schemas = (records.PAIR, records.QUESTION, records.SAMPLE, records.TRAINING_ROW)
    listed = list(zip((pair, question, sample, row), schemas, strict=True))
    return [*listed, (scored, records.TRAINING_ROW), (reject, records.REJECT)]


@pytest.mark.parametrize(
    "index", range(6), ids=["pair", "question", "sample", "row", "scored", "reject"]
)
def test_flat_records_round_trip(index: int) -> None:
    """Every field of a record has a column, and its value survives."""
    record, schema = rows_of(7)[index]
    (row,) = records.to_table([record], schema).to_pylist()
    assert row == dataclasses.asdict(record)


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        (Document, records.DOCUMENT),
        (Pair, records.PAIR),
        (Question, records.QUESTION),
        (Sample, records.SAMPLE),
        (TrainingRow, records.TRAINING_ROW),
        (Reject, records.REJECT),
    ],
)
def test_schema_has_the_fields_of_its_record(kind: type, schema: pa.Schema) -> None:
    """A field added to one side alone is caught; every schema carries its version."""
    assert {f.name for f in dataclasses.fields(kind)} == set(schema.names)
    assert schema.metadata == {b"schema_version": b"1"}


def test_empty_table_has_the_schema() -> None:
    """No record gives a table of no row, not an untyped one."""
    table = records.to_table([], records.DOCUMENT)
    assert (table.num_rows, table.schema) == (0, records.DOCUMENT)
    assert records.documents_from(table) == []


def test_documents_from_ignores_working_columns() -> None:
    """Columns that a merge added do not end up in the records."""
    table = records.to_table([Document("i", "s", "t", "x", text_hash=bytes(16))], records.DOCUMENT)
    table = table.append_column("_key", pa.array([1], pa.uint64()))
    assert [d.id for d in records.documents_from(table)] == ["i"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("query", 5), ("query_tokens", "7"), ("query_tokens", 2**31), ("query", ["a"])],
    ids=["int-as-text", "text-as-int", "too-large", "list-as-text"],
)
def test_wrong_type_is_refused(field: str, value: object) -> None:
    """No value is converted on the quiet."""
    pair = Pair("q", "p", "section", "en", "en", "s")
    setattr(pair, field, value)
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError)):
        records.to_table([pair], records.PAIR)


def test_lone_surrogates_are_replaced() -> None:
    """Text that UTF-8 cannot hold is written with a mark in place of what is broken."""
    document = Document("i", "s", "t", "broken \ud83d text", text_hash=bytes(16))
    document.declared_language = None
    document.sections = [Section("head \udfff", 2, 0, 4), Section("whole é", 2, 5, 9)]
    (row,) = records.documents_from(records.to_table([document], records.DOCUMENT))
    assert (row.text, row.title, row.declared_language) == ("broken ? text", "t", None)
    assert row.sections == [Section("head ?", 2, 0, 4), Section("whole é", 2, 5, 9)]


def test_lone_surrogates_in_lists_are_replaced() -> None:
    """Lists of texts are mended item by item."""
    row = TrainingRow("i", "q", ["\ud800 a", "b"], [], "labelled", "s", "en", "en", 1)
    (written,) = records.to_table([row], records.TRAINING_ROW).to_pylist()
    assert written["positives"] == ["? a", "b"]


@given(parts=st.lists(words, min_size=1, max_size=3))
@settings(deadline=None, max_examples=60)
def test_text_key_folds_case_and_space(parts: list[str]) -> None:
    """Case, runs of white space and space at the ends make no difference; 16 bytes always."""
    key = records.text_key(*parts)
    spaced = [f" \n{'  '.join(part.split())}\t" for part in parts]
    assert len(key) == 16
    assert records.text_key(*spaced) == key
    assert records.text_key(*[part.casefold() for part in parts]) == key


def test_text_key_keeps_texts_apart() -> None:
    """Where one text ends and the next begins is part of the key, and so is their order."""
    keys = {records.text_key(*t) for t in [("a b", "c"), ("a", "b c"), ("c", "a b"), ("a b c",)]}
    assert len(keys) == 4
    assert records.text_key("\ud800") != records.text_key("\ud801")


def test_pair_id_is_the_key_of_both_sides() -> None:
    """Equal pairs collide, whatever else they say; an id that is given stays."""
    one = Pair("Who?", "He did.", "section", "en", "en", "a", document_id="1")
    same = Pair("who? ", "he  did.", "title-body", "en", "en", "b", document_id="2")
    other = Pair("He did.", "Who?", "section", "en", "en", "a")
    assert one.id == same.id == records.text_key("Who?", "He did.").hex()
    assert other.id != one.id
    assert Pair("q", "p", "section", "en", "en", "s", id="mine").id == "mine"


@pytest.mark.parametrize("value", [np.int64(3), np.int32(3)], ids=["int64", "int32"])
def test_numpy_values_fit(value: int) -> None:
    """Counts that come out of numpy are written like plain ones."""
    pair = Pair("q", "p", "section", "en", "en", "s", positive_tokens=value)
    assert records.to_table([pair], records.PAIR)["positive_tokens"].to_pylist() == [3]
