"""Labelled queries to rows, and the rows of one question to one."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.config import SourceConfig
from curation.labelled import NOT_MINED, Labeller, merge_questions, query_key, row_texts
from curation.language import LanguageDetector
from curation.records import TRAINING_ROW, Reject, TrainingRow, to_table, training_rows_from
from curation.sources.raw import Passage, RawLabelled

BODY = "The lighthouse was built by the harbour company in 1850."
OTHER = "The mill was pulled down after the war."
HAUSA = "Wane kamfani ne ya gina hasumiyar a shekarar da ta gabata?"


@pytest.fixture(scope="module")
def labeller() -> Labeller:
    return Labeller(LanguageDetector())


def rows(
    labeller: Labeller,
    query: str = "Who built the lighthouse?",
    positives: list[Any] | None = None,
    negatives: list[Any] | None = None,
    config: dict[str, Any] | None = None,
    **fields: Any,
) -> list[Any]:
    found = [
        [p if isinstance(p, Passage) else Passage(p) for p in side]
        for side in ([BODY] if positives is None else positives, negatives or [])
    ]
    values = {"kind": "labelled", "format": "beir", "path": "x", "name": "set"} | (config or {})
    return list(
        labeller.rows(RawLabelled("set:1", query, *found, **fields), SourceConfig(**values))
    )


def test_a_query_becomes_a_row(labeller: Labeller) -> None:
    """Cleaned texts, ids of the data set or of the text, a teacher's scores, negatives unmined."""
    (row,) = rows(
        labeller,
        " Who\nbuilt it? ",
        [Passage(f"{BODY}\0", "d1")],
        [OTHER],
        positive_scores=[0.9],
        negative_scores=[0.2],
        language="en",
    )
    assert (row.query, row.positives, row.negatives) == ("Who built it?", [BODY], [OTHER])
    assert (row.relation, row.source, row.negative_ranks) == ("labelled", "set", [NOT_MINED])
    assert row.positive_ids == ["set:d1"]
    assert len(row.negative_ids[0]) == 32
    assert (row.positive_teacher_scores, row.negative_teacher_scores) == ([0.9], [0.2])
    assert (row.positive_scores, row.negative_scores) == ([], [])


@pytest.mark.parametrize(
    ("fields", "config", "languages"),
    [
        ({}, {"language": "en"}, ("en", "en")),
        ({}, {"language": "en", "query_language": "hau"}, ("ha", "en")),
        ({"language": "eng", "query_language": "yo"}, {"language": "fr"}, ("yo", "en")),
        ({"query_language": "yo"}, {}, ("yo", "en")),
        ({}, {}, ("en", "en")),
    ],
    ids=["one", "both", "the record's", "query's", "detected"],
)
def test_languages_are_declared_or_detected(
    labeller: Labeller,
    fields: dict[str, str],
    config: dict[str, str],
    languages: tuple[str, str],
) -> None:
    """The record's own stand above the config's; the passages' is the query's if alone."""
    (row,) = rows(labeller, config=config, **fields)
    assert (row.query_language, row.language) == languages


def test_a_query_in_another_language_is_not_named_after_the_passage(labeller: Labeller) -> None:
    """Undeclared, it is what the engines see, or undetermined."""
    (row,) = rows(labeller, HAUSA)
    assert row.language == "en"
    assert row.query_language in ("ha", "und")


REJECTED: dict[str, dict[str, Any]] = {
    "no_query": {"query": " \0"},
    "no_positive": {"positives": []},
    "wrong_script": {"language": "ar"},
}


@pytest.mark.parametrize("reason", REJECTED)
def test_a_query_that_gives_no_row(labeller: Labeller, reason: str) -> None:
    """One reject with the reason."""
    (found,) = rows(labeller, **REJECTED[reason])
    assert (found.id, found.reason, found.source) == ("set:1", reason, "set")


@pytest.mark.parametrize("positive", [" ", "who built THE lighthouse?"], ids=["blank", "the query"])
def test_a_passage_without_an_answer_is_no_positive(labeller: Labeller, positive: str) -> None:
    """Nor a negative."""
    (found,) = rows(labeller, positives=[positive])
    assert found.reason == "no_positive"
    (row,) = rows(labeller, positives=[positive, BODY], negatives=[positive, OTHER])
    assert (row.positives, row.negatives) == ([BODY], [OTHER])


def test_a_negative_that_is_a_positive_is_counted(labeller: Labeller) -> None:
    """It goes, the row stays."""
    reject, row = rows(labeller, negatives=[BODY.upper(), OTHER, BODY])
    assert (reject.reason, reject.value) == ("negative_is_positive", "1")
    assert row.negatives == [OTHER]


def test_personal_data_are_masked(labeller: Labeller) -> None:
    """In queries and passages, before they are compared."""
    raw = RawLabelled("set:1", "Who is\na@b.org?", [Passage("It is a@b.org.")], [Passage("x@y.de")])
    source = SourceConfig(kind="labelled", format="beir", path="x", language="en")
    (row,) = labeller.rows(raw, source, lambda t: re.sub(r"\S+@\w+\.\w+", "<email>", t))
    assert isinstance(row, TrainingRow)
    assert (row.query, row.positives) == ("Who is <email>?", ["It is <email>."])
    assert row.negatives == ["<email>"]


def test_the_sample_leaves_queries_out(labeller: Labeller) -> None:
    """By their text, so that all rows of a question are drawn together."""
    found = [rows(labeller, f"Who built house {i}?", config={"sample": 0.4}) for i in range(100)]
    assert 20 < sum(row == [None] for row in found) < 80


def row(
    query: str, positives: list[str], negatives: list[str] | None = None, **fields: Any
) -> TrainingRow:
    negatives = negatives or []
    values = {"source": "a", "query_language": "en", "language": "en"} | fields
    return TrainingRow(
        id=f"{query}{positives}{negatives}{values['source']}",
        query=query,
        positives=positives,
        negatives=negatives,
        relation="labelled",
        length=0,
        positive_ids=[f"id-{t}" for t in positives],
        negative_ids=[f"id-{t}" for t in negatives],
        negative_ranks=[NOT_MINED] * len(negatives),
        **values,
    )


def merged(found: list[TrainingRow]) -> list[TrainingRow | Reject]:
    ordered = sorted(found, key=query_key)
    return list(merge_questions(ordered, lambda r: (r.source != "best", r.source, r.id)))


def test_one_question_with_two_golds_is_one_row() -> None:
    """Texts that fold to the same are one question; each passage is listed once."""
    found = merged([row("Who?", ["A", "B"], ["x"]), row("who? ", ["b", "C"], ["y", "x"])])
    reject, whole = found
    assert isinstance(reject, Reject)
    assert reject.reason == "merged_query"
    assert isinstance(whole, TrainingRow)
    assert whole.positives == ["A", "B", "C"]
    assert whole.positive_ids == ["id-A", "id-B", "id-C"]
    assert (whole.negatives, whole.negative_ranks) == (["x", "y"], [NOT_MINED] * 2)


def test_the_best_source_names_the_row() -> None:
    """Priority decides, then the name."""
    found = merged([row("q", ["A"]), row("q", ["B"], source="best"), row("q", ["A"], source="c")])
    (whole,) = (r for r in found if isinstance(r, TrainingRow))
    assert (whole.source, whole.positives) == ("best", ["B", "A"])


def test_a_positive_is_a_negative_nowhere() -> None:
    """Not even where the question is asked of passages in another language."""
    found = merged([row("q", ["A"], ["B", "x"]), row("q", ["B"], ["a"], language="de")])
    wholes = [r for r in found if isinstance(r, TrainingRow)]
    assert [(r.language, r.positives, r.negatives) for r in wholes] == [
        ("de", ["B"], []),
        ("en", ["A"], ["x"]),
    ]
    assert len({r.id for r in wholes}) == 2
    rejects = [r for r in found if isinstance(r, Reject)]
    assert [(r.reason, r.value) for r in rejects] == [("negative_is_positive", "1")] * 2


def test_teacher_scores_stay_where_all_rows_have_them() -> None:
    """A row without them takes them from all it is merged with."""
    scored = row("q", ["A"], ["x"], positive_teacher_scores=[0.9], negative_teacher_scores=[0.1])
    more = row("q", ["B"], positive_teacher_scores=[0.8], negative_teacher_scores=[])
    whole = merged([scored, more])[-1]
    assert isinstance(whole, TrainingRow)
    assert (whole.positive_teacher_scores, whole.negative_teacher_scores) == ([0.9, 0.8], [0.1])
    without = merged([scored, row("q", ["C"])])[-1]
    assert isinstance(without, TrainingRow)
    assert without.positive_teacher_scores is None


LETTERS = st.sampled_from("ABCDE")
ROWS = st.builds(
    lambda q, p, n, s, c: row(q, sorted(p), sorted(n), source=s, language=c),
    st.sampled_from(["q", "Q ", "r"]),
    st.sets(LETTERS, min_size=1, max_size=3),
    st.sets(LETTERS, max_size=3),
    st.sampled_from(["a", "best"]),
    st.sampled_from(["en", "de"]),
)


@given(st.lists(ROWS, max_size=8), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=150)
def test_merging_loses_nothing_and_needs_no_order(
    found: list[TrainingRow], order: random.Random
) -> None:
    """Every positive stays, no row repeats a question and languages, and order does not matter."""
    before = merged(found)
    shuffled = list(found)
    order.shuffle(shuffled)
    assert merged(shuffled) == before
    wholes = [r for r in before if isinstance(r, TrainingRow)]
    keys = [(query_key(r), r.language) for r in wholes]
    assert len(keys) == len(set(keys)) == len({(query_key(r), r.language) for r in found})
    merges = [r for r in before if isinstance(r, Reject) and r.reason == "merged_query"]
    assert len(wholes) + len(merges) == len(found)
    for whole in wholes:
        same = [r for r in found if query_key(r) == query_key(whole)]
        own = [r for r in same if r.language == whole.language]
        assert set(whole.positives) == {t for r in own for t in r.positives}
        golds = {t for r in same for t in r.positives}
        assert set(whole.negatives) == {t for r in own for t in r.negatives} - golds


def test_rows_survive_their_file() -> None:
    """As a table and back."""
    found = [row("q", ["A"], ["x"]), row("r", ["B"])]
    assert training_rows_from(to_table(found, TRAINING_ROW)) == found
    assert row_texts(found[0]) == ["q", "A", "x"]
