"""Training rows from shards, and the texts of a batch."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import InputError
from tests.builders import training_rows, write_training_shards
from train.batching import Batch
from train.data import collate, prefetched, shards_of, text_key
from train.negatives import Share, columns, false_negatives
from train.rows import RowReader
from train.stage_config import BatchingConfig
from train.streams import Shard, layout_of


def row(query: str, positives: list[str], negatives: list[str] | None = None) -> dict[str, Any]:
    return {"id": query, "query": query, "positives": positives, "negatives": negatives or []}


def test_shards_of_reads_the_bucket_from_the_folder() -> None:
    """Paths are joined to the directory; rows come from the manifest."""
    parts = [
        {"name": "length=0-500/part-00000.parquet", "rows": 5},
        {"name": "length=7000-8192/part-00000.parquet", "rows": 2},
    ]
    assert shards_of("gs://x/training", {"parts": parts}) == [
        Shard("gs://x/training/length=0-500/part-00000.parquet", 0, 5),
        Shard("gs://x/training/length=7000-8192/part-00000.parquet", 8, 2),
    ]


@pytest.mark.parametrize("name", ["part-0.parquet", "length=0-400/part-0.parquet"])
def test_shards_of_refuses_a_part_outside_the_buckets(name: str) -> None:
    """It would be trained on with no batch size of its own."""
    with pytest.raises(InputError, match=f"out/{name} is in no length bucket"):
        shards_of("out", {"parts": [{"name": name, "rows": 1}]})


def test_collate_lists_each_text_once() -> None:
    """A text that is positive here and negative there is encoded once and has one column."""
    rows = [row("a", ["A"], ["B", "C"]), row("b", ["B"], ["A", "D"]), row("c", ["B"], ["A", "D"])]
    found = collate(rows, 2, np.random.default_rng(0))
    assert found.ids == found.queries == ["a", "b", "c"]
    assert found.passages == ["A", "B", "C", "D"]
    assert found.targets == [0, 1, 1]
    assert found.passage_keys == [text_key(t) for t in "ABCD"]
    known = [{text_key(t) for t in pair} for pair in ("aA", "bB", "cB")]
    assert [set(keys) for keys in found.positive_keys] == known


@pytest.mark.parametrize(("negatives", "expected"), [(0, "P"), (2, "PXY"), (9, "PXYZ")])
def test_collate_takes_the_first_negatives(negatives: int, expected: str) -> None:
    """The best are first; a row with fewer brings what it has."""
    found = collate([row("a", ["P"], ["X", "Y", "Z"])], negatives, np.random.default_rng(0))
    assert "".join(found.passages) == expected


def test_collate_draws_one_of_the_positives() -> None:
    """Equal generators draw alike, and every positive is drawn by and by."""
    rows = [row(name, ["P", "Q", "R"]) for name in "abc"]
    drawn = [collate(rows, 0, np.random.default_rng(seed)) for seed in range(20)]
    again = [collate(rows, 0, np.random.default_rng(seed)) for seed in range(20)]
    assert [b.passages for b in drawn] == [b.passages for b in again]
    assert {b.passages[b.targets[0]] for b in drawn} == {"P", "Q", "R"}
    for seed in range(20):  # as the batch has no part in it, processes draw as one would
        single = collate(rows[1:2], 0, np.random.default_rng(seed))
        assert single.passages[0] == drawn[seed].passages[drawn[seed].targets[1]]


def test_rows_of_one_query_know_each_others_positives() -> None:
    """Their answers are masked for one another, for other queries they stay negatives."""
    rows = [row("Who?", ["P"], ["N"]), row("WHO?", ["Q"]), row("other", ["R"])]
    found = collate(rows, 1, np.random.default_rng(0))
    plan = columns([Share.of(found)], 0)
    mask = false_negatives(plan.keys, plan.known, found.targets)
    assert found.passages == ["P", "N", "Q", "R"]
    assert mask.int().tolist() == [[0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_passages_of_a_positives_document_are_no_negatives() -> None:
    """Another text under a positive's id is masked for its query, for others it is a negative."""
    rows = [row("a", ["A"], ["B"]), row("b", ["C"], ["D"])]
    rows[0] |= {"positive_ids": ["doc-1"], "negative_ids": ["doc-1"]}
    rows[1] |= {"positive_ids": ["doc-2"], "negative_ids": ["doc-3"]}
    found = collate(rows, 1, np.random.default_rng(0))
    plan = columns([Share.of(found)], 0)
    mask = false_negatives(plan.keys, plan.known, found.targets)
    assert found.passages == ["A", "B", "C", "D"]
    assert mask.int().tolist() == [[0, 1, 0, 0], [0, 0, 0, 0]]


def test_a_query_is_no_negative_of_itself() -> None:
    """A passage with its very text would have the highest score of all."""
    found = collate([row("a", ["A"], ["b"]), row("b", ["B"])], 1, np.random.default_rng(0))
    plan = columns([Share.of(found)], 0)
    mask = false_negatives(plan.keys, plan.known, found.targets)
    assert found.passages == ["A", "b", "B"]
    assert mask.int().tolist() == [[0, 0, 0], [0, 1, 0]]


def test_collate_takes_the_named_teachers_scores() -> None:
    """Of the drawn positive and the kept negatives; none where one of them has no score."""
    rows = [
        row("a", ["A"], ["B", "C", "D"]),
        row("b", ["B"], ["A", "A", "C"]),
        row("c", ["C"], ["A"]),
    ]
    rows[0] |= {"positive_scores": [0.9], "negative_scores": [0.5, 0.4, 0.3]}
    rows[1] |= {"positive_scores": [0.8], "negative_scores": [0.6, 0.1, 0.2]}
    rows[2] |= {"positive_scores": [0.7], "negative_scores": None}
    rows[2] |= {"positive_teacher_scores": [3.0], "negative_teacher_scores": [-3.0]}
    found = collate(rows, 2, np.random.default_rng(0), "scores")
    assert found.passages == ["A", "B", "C"]
    assert found.teacher_columns == [[0, 1, 2], [1, 0], []]
    assert found.teacher_scores == [[0.9, 0.5, 0.4], [0.8, 0.6], []]
    assert Share.of(found).taught == 2
    other = collate(rows, 2, np.random.default_rng(0), "teacher_scores")
    assert other.teacher_scores == [[], [], [3.0, -3.0]]
    assert other.teacher_columns == [[], [], [2, 0]]
    assert collate(rows, 2, np.random.default_rng(0)).teacher_scores == [[], [], []]


def test_reader_brings_ids_and_scores(tmp_path: Path) -> None:
    """What masks false negatives and what a teacher says are in the shards."""
    rows = training_rows(3)
    for number, one in enumerate(rows):
        one.positive_ids, one.negative_ids = [f"p{number}"], ["n", "m"]
        one.positive_scores, one.negative_scores = [0.5], [0.25, 0.125]
    shards = shards_of(str(tmp_path), write_training_shards(tmp_path, rows, [3]))
    with closing(RowReader(layout_of(shards, BatchingConfig()), "training", 0)) as reader:
        read = reader.read(Batch(0, 0, 0, np.arange(3)))
    found = collate(read, 2, np.random.default_rng(0), "scores")
    assert found.teacher_scores == [[0.5, 0.25, 0.125]] * 3
    assert any(len(documents) == 3 for documents in found.passage_documents)


@settings(deadline=None, max_examples=50)
@given(st.text(st.characters(), max_size=30), st.text(st.characters(), max_size=30))
def test_text_key_fits_a_tensor_and_never_meets_the_padding(a: str, b: str) -> None:
    """63 bits, not negative, surrogates included; equal for equal texts only."""
    assert 0 <= text_key(a) < 2**63
    assert (text_key(a) == text_key(b)) == (a == b)


def test_prefetched_keeps_order_and_stays_one_ahead() -> None:
    """The next job is done while the last result is used, and no other."""
    started: list[int] = []
    second = threading.Event()

    def work(job: int) -> int:
        started.append(job)
        if job == 1:
            second.set()
        return job * 10

    results = prefetched(iter(range(5)), work)
    assert next(results) == 0
    assert second.wait(5)
    assert started == [0, 1]
    assert list(results) == [10, 20, 30, 40]
    assert list(prefetched(iter([]), work)) == []


def test_prefetched_raises_what_a_job_raised() -> None:
    """Results before it still come; nothing hangs."""

    def work(job: int) -> int:
        if job == 2:
            raise InputError("broken shard")
        return job

    results: Iterator[int] = prefetched(iter(range(9)), work)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(InputError, match="broken shard"):
        next(results)
