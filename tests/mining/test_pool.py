"""What becomes a passage, what it is called, and what passages have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curation.errors import InputError
from mining.config import MiningConfig
from mining.links import NO_LINKS, links_of
from mining.passages import PASSAGE
from mining.pool import build_pool
from mining.rows import ROW
from tests.mining.pools import lists, passages, pool_of, row


def test_pool_holds_each_text_once() -> None:
    """Rows point to their passages, called by their document or by their data set's id."""
    pool = pool_of(
        row(1, "a", ["A"], document_id="d1"),
        row(2, "b", ["B"]),
        row(3, "c", ["A"], document_id="d1"),
        row(4, "d", ["D", "B"], document_id="d1"),
    )
    assert passages(pool) == ["A", "B", "D"]
    assert pool.passage_ids.to_pylist() == ["d1", "id-B", "d1"]
    assert lists(pool.positives) == [[0], [1], [0], [2, 1]]
    assert pool.groups.document.tolist()[1] == -1
    assert pool.groups.document[0] == pool.groups.document[2] >= 0
    assert pool.rows["id"].to_pylist() == ["0001", "0002", "0003", "0004"]
    assert "positives" not in pool.rows.column_names  # the texts are held once


def test_texts_that_fold_to_the_same_are_one_group() -> None:
    """Case and white space do not make another text; they stay two passages."""
    pool = pool_of(row(1, "a", ["The Sea"]), row(2, "b", ["the\t sea"]), row(3, "c", ["The sea!"]))
    assert len(pool.passages) == 3
    first, second, third = pool.groups.text.tolist()
    assert first == second != third


def test_questions_know_all_positives_of_their_text() -> None:
    """Queries that fold to the same share what answers them."""
    pool = pool_of(row(1, "Who?", ["A"]), row(2, "who? ", ["B"]), row(3, "where?", ["C"]))
    known = lists(pool.known.take(pool.questions))
    assert known == [[0, 1], [0, 1], [2]]


def test_query_that_is_a_passage_has_its_group() -> None:
    """-1 where no passage equals the query."""
    pool = pool_of(row(1, "the SEA", ["A"]), row(2, "x", ["The sea"]), row(3, "a", ["y"]))
    assert pool.query_texts.tolist() == [pool.groups.text[1], -1, pool.groups.text[0]]


def test_no_rows_are_an_error() -> None:
    """The message names the option to change."""
    with pytest.raises(InputError, match=r"mining\.relations; nothing to mine"):
        build_pool(ROW.empty_table(), MiningConfig())


def test_named_negatives_join_the_pool() -> None:
    """Positives of all rows first, then negatives."""
    pool = pool_of(
        row(1, "q", ["A", "B"], negatives=["C", "D"]), row(2, "r", ["C"], document_id="doc")
    )
    assert passages(pool) == ["A", "B", "C", "D"]
    assert pool.passage_ids.to_pylist() == ["id-A", "id-B", "doc", "id-D"]
    assert lists(pool.negatives) == [[2, 3], []]


def test_a_named_negative_that_answers_elsewhere_is_left_out() -> None:
    """Another row of the same question may know better; teacher scores keep their passages."""
    pool = pool_of(
        row(
            1,
            "Who?",
            ["A"],
            negatives=["b", "C"],
            positive_teacher_scores=[5.0],
            negative_teacher_scores=[4.0, 1.0],
        ),
        row(2, "who?", ["B"]),
    )
    assert passages(pool) == ["A", "B", "C"]
    assert lists(pool.negatives) == [[2], []]
    assert pool.negative_teachers.tolist() == [1.0]
    np.testing.assert_array_equal(pool.positive_teachers, [5.0, np.nan])


def test_no_more_named_negatives_than_a_row_takes() -> None:
    """The first ones that are no answers; the others do not even join the pool."""
    pool = pool_of(
        row(1, "q", ["A"], negatives=["a", "C", "D", "E"]),
        row(2, "r", ["F"], negatives=["G", "H", "I"]),
        negatives=2,
    )
    assert passages(pool) == ["A", "F", "C", "D", "G", "H"]
    assert lists(pool.negatives) == [[2, 3], [4, 5]]


def corpus(*texts: str, **columns: str) -> pa.Table:
    empty = dict.fromkeys(PASSAGE.names, "")
    return pa.Table.from_pylist(
        [empty | {"text": t, "id": f"c-{t}"} | columns for t in texts], PASSAGE
    )


def test_a_corpus_extends_the_pool() -> None:
    """Texts that rows have already keep their number and name; corpora come in their order."""
    pool = pool_of(
        row(1, "q", ["A"]), corpus=[corpus("B", "A", "B"), corpus("C", "B", language="fr")]
    )
    assert passages(pool) == ["A", "B", "C"]
    assert pool.passage_ids.to_pylist() == ["id-A", "c-B", "c-C"]
    english = pool.query_languages[0]
    assert pool.groups.language[0] == english
    assert len({*pool.groups.language.tolist()}) == 3
    keys = pool.passage_keys
    assert (
        keys.tolist()
        == pool_of(row(1, "q", ["A"]), corpus=[corpus("B", "C")]).passage_keys.tolist()
    )


LONG = " ".join(f"word{n}" for n in range(60))


@pytest.mark.parametrize(
    ("threshold", "filters", "joined"),
    [(0.75, ("near_duplicate",), True), (0.98, ("near_duplicate",), False), (0.75, (), False)],
    ids=["alike", "stricter", "off"],
)
def test_near_duplicates_are_one_cluster(
    threshold: float, filters: tuple[str, ...], joined: bool
) -> None:
    """One word of 60 changed: 5-gram similarity 0.84; another text stays alone."""
    changed = LONG.replace("word30", "other")
    pool = pool_of(
        row(1, "a", [LONG]),
        row(2, "b", [changed]),
        row(3, "c", [LONG.upper()]),
        row(4, "d", [LONG[::-1]]),
        near_duplicate_threshold=threshold,
        filters=filters,
    )
    first, second, third, fourth = pool.groups.near_duplicate.tolist()
    assert (first == second) is joined
    assert first == third  # equal but for case: one text
    assert fourth not in (first, second)


def test_titles_are_a_first_line_or_the_documents() -> None:
    """Of labelled passages the line, of passages of a document its title; white space is folded."""
    documents = pa.table({"id": ["d1", "d2", "d3"], "title": ["Mills", "mills ", ""]})
    pool = pool_of(
        row(1, "a", ["Mills\nThey grind."]),
        row(2, "b", ["One line."]),
        row(3, "c", ["text 1"], document_id="d1", relation="title-body"),
        row(4, "d", ["text 2"], document_id="d2", relation="title-body"),
        row(5, "e", ["text 3"], document_id="d3", relation="title-body"),
        row(6, "f", ["Mills\nnot a title here"], relation="section"),
        links=links_of([documents], []),
    )
    titles = pool.groups.title.tolist()
    assert titles[0] == titles[2] == titles[3] >= 0
    assert (titles[1], titles[4], titles[5]) == (-1, -1, -1)


def test_translations_are_components_of_pairs() -> None:
    """A text, its translations and theirs; the query of a row belongs too."""
    pairs = pa.table({"query": ["The sea", "La mer"], "positive": ["La mer", "Das Meer"]})
    pool = pool_of(
        row(1, "the  sea", ["La mer"]),
        row(2, "x", ["Das Meer"]),
        row(3, "y", ["Der Berg"]),
        links=links_of([], [pairs]),
    )
    groups = pool.groups.translation.tolist()
    assert groups[0] == groups[1] == pool.query_translations[0] >= 0
    assert groups[2] == -1
    assert pool.query_translations.tolist()[1:] == [-1, -1]


def test_without_links_nothing_is_linked() -> None:
    """All in no group."""
    pool = pool_of(row(1, "a", ["A"]), links=NO_LINKS)
    assert pool.groups.translation.tolist() == [-1]


def test_languages_are_numbered_for_rows_and_passages_alike() -> None:
    """A passage has that of the row that brings it."""
    pool = pool_of(
        row(1, "a", ["A"], query_language="sw", language="en"),
        row(2, "b", ["B"], query_language="en", language="fr"),
    )
    english = pool.query_languages[1]
    assert pool.groups.language.tolist() == pool.languages.tolist()
    assert pool.languages[0] == english
    assert len({*pool.languages.tolist(), *pool.query_languages.tolist()}) == 3


def test_row_order_does_not_matter() -> None:
    """Rows are taken by id; parts may be cut otherwise."""
    rows: list[dict[str, Any]] = [row(n, f"q{n % 3}", [f"t{n % 4}"]) for n in range(8)]
    one, other = pool_of(*rows), pool_of(*rows[::-1])
    assert passages(one) == passages(other)
    assert lists(one.positives) == lists(other.positives)
