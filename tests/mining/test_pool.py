"""Which pairs become rows, and what is known of their passages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curation.draw import rank
from curation.errors import InputError
from curation.records import (
    PAIR,
    QUESTION,
    TRAINING_ROW,
    Pair,
    Question,
    TrainingRow,
    to_table,
)
from curation.splits import SplitConfig
from curation.storage import write_parquet
from mining.pool import COLUMNS, Pool, build_pool, select_labelled, select_rows

NONE_HELD_OUT = SplitConfig(held_out=0.0)


def pair(number: int, relation: str = "title-body", language: str = "en", **changes: Any) -> Pair:
    values: dict[str, Any] = {
        "query": f"title {number}",
        "positive": f"body {number}",
        "document_id": f"doc-{number}",
    }
    return Pair(
        relation=relation,
        query_language=language,
        language=language,
        source="test",
        **(values | changes),
    )


PAIRS = [
    *(pair(n) for n in range(30)),
    *(pair(n, language="fr") for n in range(30, 50)),
    *(pair(n, "parallel", query_document_id=f"other-{n}") for n in range(50, 60)),
    *(pair(n, "section") for n in range(60, 65)),
]


def write(folder: Path, sizes: list[int], pairs: list[Pair] = PAIRS) -> list[str]:
    paths, start = [], 0
    for number, size in enumerate(sizes):
        paths.append(str(folder / f"part-{number}.parquet"))
        write_parquet(paths[-1], to_table(pairs[start : start + size], PAIR))
        start += size
    return paths


def test_rows_are_those_of_the_wanted_relations(tmp_path: Path) -> None:
    """Sorted by id, with all that a training row needs; others are left out."""
    rows = select_rows(write(tmp_path, [65]), ["section", "parallel"], {}, NONE_HELD_OUT)
    wanted = sorted((p for p in PAIRS if p.relation != "title-body"), key=lambda p: p.id)
    assert [row["id"] for row in rows] == [p.id for p in wanted]
    assert rows[0] == {name: getattr(wanted[0], name) for name in COLUMNS}


def test_questions_are_read_like_pairs(tmp_path: Path) -> None:
    """Their further columns do not matter."""
    question = Question("who?", "body", "question-document", "en", "en", "s", document_id="d")
    write_parquet(str(tmp_path / "q.parquet"), to_table([question], QUESTION))
    paths = [*write(tmp_path, [65]), str(tmp_path / "q.parquet")]
    rows = select_rows(paths, ["question-document", "section"], {}, NONE_HELD_OUT)
    assert sorted(row["relation"] for row in rows) == ["question-document", *["section"] * 5]


def test_held_out_documents_never_become_rows(tmp_path: Path) -> None:
    """On either side: the query's document or the positive's; the rest is all there."""
    splits = SplitConfig(held_out=0.4, seed=3)
    rows = select_rows(write(tmp_path, [65]), ["title-body", "parallel"], {}, splits)
    kept = {
        p.id
        for p in PAIRS
        if p.relation in ("title-body", "parallel")
        and not splits.is_held_out([p.document_id])
        and not splits.is_held_out([p.query_document_id])
    }
    assert {row["id"] for row in rows} == kept
    assert 10 < len(kept) < 55
    held_by_query = [
        p
        for p in PAIRS
        if splits.is_held_out([p.query_document_id]) and not splits.is_held_out([p.document_id])
    ]
    assert held_by_query


def test_limits_are_per_relation_and_language(tmp_path: Path) -> None:
    """The rows with the smallest hash of their id; relations without a limit stay whole."""
    limits = {"title-body": 7, "section": 0}
    rows = select_rows(
        write(tmp_path, [65]), ["title-body", "section", "parallel"], limits, NONE_HELD_OUT
    )
    expected = [p for p in PAIRS if p.relation == "parallel"]
    for language in ("en", "fr"):
        own = [p for p in PAIRS if (p.relation, p.language) == ("title-body", language)]
        expected += sorted(own, key=lambda p: rank(p.id, "training"))[:7]
    assert [row["id"] for row in rows] == sorted(p.id for p in expected)


@pytest.mark.parametrize("sizes", [[1, 64], [20, 20, 25], [0, 65]], ids=str)
def test_rows_do_not_depend_on_the_parts(tmp_path: Path, sizes: list[int]) -> None:
    """Cut otherwise and listed in another order, the same rows are drawn."""
    relations, limits = ["title-body", "section"], {"title-body": 5}
    (tmp_path / "cut").mkdir()
    whole = select_rows(write(tmp_path, [65]), relations, limits, NONE_HELD_OUT)
    cut = select_rows(write(tmp_path / "cut", sizes)[::-1], relations, limits, NONE_HELD_OUT)
    assert cut == whole


def row(number: int, query: str, positive: str, document: str = "") -> dict[str, str]:
    return {"id": f"{number}", "query": query, "positive": positive, "document_id": document}


def test_pool_holds_each_text_once() -> None:
    """Rows point to their passage, which is called by its document, else by its first pair."""
    pool = build_pool(
        [row(1, "a", "A", "d1"), row(2, "b", "B"), row(3, "c", "A", "d1"), row(4, "d", "D", "d1")]
    )
    assert pool.passages == ["A", "B", "D"]
    assert pool.passage_ids == ["d1", "2", "d1"]
    assert pool.positive.tolist() == [0, 1, 0, 2]
    assert pool.document_groups.tolist() == [0, -1, 0]
    assert [r["id"] for r in pool.rows] == ["1", "2", "3", "4"]


def test_texts_that_fold_to_the_same_are_one_group() -> None:
    """Case and white space do not make another text; they stay two passages."""
    pool = build_pool([row(1, "a", "The Sea"), row(2, "b", "the\n sea"), row(3, "c", "The sea!")])
    assert len(pool.passages) == 3
    assert pool.text_groups.tolist() == [0, 0, 1]


def test_queries_know_all_positives_of_their_text() -> None:
    """Queries that fold to the same share what answers them."""
    pool = build_pool([row(1, "Who?", "A"), row(2, "who? ", "B"), row(3, "where?", "C")])
    assert pool.known == [frozenset({0, 1}), frozenset({0, 1}), frozenset({2})]


def test_query_that_is_a_passage_has_its_group() -> None:
    """-1 where no passage equals the query."""
    pool = build_pool([row(1, "the SEA", "A"), row(2, "x", "The sea"), row(3, "a", "y")])
    assert pool.query_groups.tolist() == [1, -1, 0]


def test_no_rows_are_an_error() -> None:
    """The message names the option to change."""
    with pytest.raises(InputError, match=r"mining\.relations; nothing to mine"):
        build_pool([])


def labelled(
    number: int, query: str, positives: list[str], negatives: list[str], language: str = "en"
) -> TrainingRow:
    return TrainingRow(
        id=f"{number}",
        query=query,
        positives=positives,
        negatives=negatives,
        relation="labelled",
        source="set",
        query_language=language,
        language=language,
        length=9,
        positive_ids=[f"id-{t}" for t in positives],
        negative_ids=[f"id-{t}" for t in negatives],
    )


def write_labelled(path: Path, rows: list[TrainingRow]) -> list[str]:
    write_parquet(str(path), to_table(rows, TRAINING_ROW))
    return [str(path)]


def test_labelled_rows_are_drawn_as_pairs_are(tmp_path: Path) -> None:
    """A limit per language; with all that a training row needs."""
    rows = [labelled(n, f"q{n}", ["A", "B"], ["C"], "en" if n < 6 else "de") for n in range(9)]
    paths = write_labelled(tmp_path / "rows.parquet", rows)
    assert len(select_labelled(paths, {})) == 9
    few = select_labelled(paths, {"labelled": 2})
    expected = [
        r.id
        for language in ("en", "de")
        for r in sorted(
            (r for r in rows if r.language == language), key=lambda r: rank(r.id, "training")
        )[:2]
    ]
    assert [row["id"] for row in few] == expected
    assert few[0]["positives"] == ["A", "B"]
    assert select_labelled([], {"labelled": 2}) == []


def pool_of(*rows: TrainingRow | dict[str, str], most: int = 9) -> Pool:
    found = [
        r if isinstance(r, dict) else vars_of(r) | {"positive": r.positives[0], "document_id": ""}
        for r in rows
    ]
    return build_pool(found, most)


def vars_of(row: TrainingRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}


def test_all_passages_of_labelled_rows_join_the_pool() -> None:
    """Under the ids of their data set, each text once; pairs have one positive and no negative."""
    pool = pool_of(labelled(1, "q", ["A", "B"], ["C", "D"]), row(2, "r", "C", "doc"))
    assert pool.passages == ["A", "B", "C", "D"]
    assert pool.passage_ids == ["id-A", "id-B", "doc", "id-D"]
    assert pool.positives == [[0, 1], [2]]
    assert pool.negatives == [[2, 3], []]
    assert pool.positive.tolist() == [0, 2]
    assert pool.known == [frozenset({0, 1}), frozenset({2})]


def test_a_labelled_negative_that_answers_elsewhere_is_left_out() -> None:
    """Another row of the same question may know better, be it a pair."""
    pool = pool_of(labelled(1, "Who?", ["A"], ["b", "C"]), row(2, "who?", "B"))
    assert pool.passages == ["A", "B", "C"]
    assert pool.negatives == [[2], []]


def test_no_more_labelled_negatives_than_a_row_takes() -> None:
    """The first ones; the others do not even join the pool."""
    pool = pool_of(labelled(1, "q", ["A"], ["C", "D", "E"]), most=2)
    assert pool.passages == ["A", "C", "D"]
    assert pool.negatives == [[1, 2]]
