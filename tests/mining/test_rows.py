"""Which pairs and labelled rows become rows to mine for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curation.draw import rank
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
from mining.rows import ROW, ordered, select_labelled, select_rows

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
    assert rows.schema.equals(ROW)
    assert ids(rows) == [p.id for p in wanted]
    first = ordered(rows).to_pylist()[0]
    shared = [n for n in ROW.names if hasattr(wanted[0], n)]
    assert {n: first[n] for n in shared} == {n: getattr(wanted[0], n) for n in shared}
    assert (first["positives"], first["positive_ids"]) == (
        [wanted[0].positive],
        [wanted[0].document_id],
    )
    assert (first["negatives"], first["positive_teacher_scores"]) == ([], None)


def ids(rows: pa.Table) -> list[str]:
    found: list[str] = ordered(rows)["id"].to_pylist()
    return found


def test_a_pair_without_a_document_names_its_passage(tmp_path: Path) -> None:
    """By its own id."""
    alone = pair(1, document_id="")
    write_parquet(str(tmp_path / "p.parquet"), to_table([alone], PAIR))
    (found,) = select_rows(
        [str(tmp_path / "p.parquet")], ["title-body"], {}, NONE_HELD_OUT
    ).to_pylist()
    assert found["positive_ids"] == [alone.id]


def test_questions_are_read_like_pairs(tmp_path: Path) -> None:
    """Their further columns do not matter."""
    question = Question("who?", "body", "question-document", "en", "en", "s", document_id="d")
    write_parquet(str(tmp_path / "q.parquet"), to_table([question], QUESTION))
    paths = [*write(tmp_path, [65]), str(tmp_path / "q.parquet")]
    rows = select_rows(paths, ["question-document", "section"], {}, NONE_HELD_OUT)
    assert sorted(rows["relation"].to_pylist()) == ["question-document", *["section"] * 5]


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
    assert {*ids(rows)} == kept
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
    assert ids(rows) == sorted(p.id for p in expected)


@pytest.mark.parametrize("sizes", [[1, 64], [20, 20, 25], [0, 65]], ids=str)
def test_rows_do_not_depend_on_the_parts(tmp_path: Path, sizes: list[int]) -> None:
    """Cut otherwise and listed in another order, the same rows are drawn."""
    relations, limits = ["title-body", "section"], {"title-body": 5}
    (tmp_path / "cut").mkdir()
    whole = select_rows(write(tmp_path, [65]), relations, limits, NONE_HELD_OUT)
    cut = select_rows(write(tmp_path / "cut", sizes)[::-1], relations, limits, NONE_HELD_OUT)
    assert ordered(cut).equals(ordered(whole))


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
    assert ids(few) == sorted(expected)
    assert few["positives"].to_pylist()[0] == ["A", "B"]
    assert len(select_labelled([], {"labelled": 2})) == 0
