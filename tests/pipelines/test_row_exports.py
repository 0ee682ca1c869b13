"""Training rows in the formats of others, read back by these where they are installed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import pytrec_eval

from curation import manifest
from curation.records import TrainingRow
from tests.builders import training_rows, write_training_shards
from tests.command_line import run


@pytest.fixture
def out(tmp_path: Path) -> Path:
    rows: list[TrainingRow] = training_rows(6)
    for n, row in enumerate(rows):
        row.positive_ids, row.negative_ids = [f"p {n}"], [f"n{n}a", f"n{n}b"]
        row.negative_sources = ["labelled", "dense:3"]
        row.positive_scores, row.negative_scores = [0.9], [0.5, 0.95]
    rows[1].positives.append("Another answer.\nOf two lines.")
    rows[1].positive_ids.append("p1b")
    rows[1].positive_scores.append(0.8)
    rows[2].negatives, rows[2].negative_ids = rows[2].negatives[:1], ["n2a"]
    rows[2].negative_sources, rows[2].negative_scores = ["labelled"], [0.5]
    rows[0].positive_teacher_scores, rows[0].negative_teacher_scores = [3.0], [1.0, -2.0]
    rows[1].positive_teacher_scores, rows[1].negative_teacher_scores = [3.0, 2.0], [1.0, None]
    rows[3].positive_scores = []
    written = write_training_shards(tmp_path / "training", rows, [4, 2])
    manifest.publish(
        str(tmp_path / "training"), {"fingerprint": "x", "config": {}}, written["parts"]
    )
    return tmp_path


def exported(out: Path, kind: str, *options: str) -> list[str]:
    result = run("export-rows", str(out), "--to", kind, "--output", str(out / "file"), *options)
    assert result.code == 0, result.err
    return (out / "file").read_text().splitlines()


def objects(out: Path, kind: str, *options: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in exported(out, kind, *options)]


def test_flagembedding(out: Path) -> None:
    """All fields; scores where a teacher scored every passage."""
    found = objects(out, "flagembedding")
    rows = training_rows(6)
    assert [row["query"] for row in found] == [row.query for row in rows]
    assert found[0]["pos_scores"] == [3.0]
    assert found[0]["neg_scores"] == [1.0, -2.0]
    assert "pos_scores" not in found[1]
    assert found[1]["pos"][1] == "Another answer.\nOf two lines."
    assert found[2] == {
        "query": rows[2].query,
        "pos": rows[2].positives,
        "neg": rows[2].negatives[:1],
        "pos_id": ["p 2"],
        "neg_id": ["n2a"],
        "prompt": "",
        "type": "normal",
    }


def test_flagembedding_is_read_back_by_our_own_source(out: Path) -> None:
    """A labelled source of format flagembedding takes what was written."""
    from curation.sources.labelled_rows import read_flagembedding

    exported(out, "flagembedding")
    with (out / "file").open("rb") as stream:
        first, *_ = read_flagembedding(stream, "back")
    assert [p.id for p in first.negatives] == ["n0a", "n0b"]  # type: ignore[union-attr]
    assert first.positive_scores == [3.0]  # type: ignore[union-attr]


def test_triplets_and_tuples(out: Path) -> None:
    """One line for each positive and negative; tuples of rows with enough negatives."""
    assert len(objects(out, "triplets")) == 2 + 4 + 1 + 2 * 3
    two = objects(out, "n-tuples", "--negatives", "2")
    assert len(two) == 1 + 2 + 3
    assert list(two[0]) == ["anchor", "positive", "negative_1", "negative_2"]
    assert len(objects(out, "n-tuples", "--negatives", "1")) == 7


def test_sentence_transformers_takes_the_tuples(out: Path) -> None:
    """`datasets` reads the columns that its losses expect."""
    from datasets import load_dataset

    exported(out, "n-tuples", "--negatives", "2")
    path = str(out / "file")
    found = load_dataset("json", data_files=path, split="train", cache_dir=str(out / "cache"))
    assert found.column_names == ["anchor", "positive", "negative_1", "negative_2"]


def test_labelled_lists(out: Path) -> None:
    """As many labels as passages."""
    found = objects(out, "labelled-lists")
    assert found[1]["labels"] == [1, 1, 0, 0]
    assert len(found[1]["passages"]) == 4


def test_trec_files_are_read_by_trec_eval(out: Path) -> None:
    """Best first, ranks from 1, ids without white space; rows without scores are left out."""
    lines = [line.split(" ") for line in exported(out, "trec-run")]
    assert lines[0] == ["row-000", "Q0", "n0b", "1", "0.950000", "threefold"]
    assert lines[1][2:4] == ["p_0", "2"]
    assert {line[0] for line in lines} == {f"row-00{n}" for n in (0, 1, 2, 4, 5)}
    exported(out, "trec-run")
    with (out / "file").open() as stream:
        ranked = pytrec_eval.parse_run(stream)
    exported(out, "trec-qrels")
    with (out / "file").open() as stream:
        judged = pytrec_eval.parse_qrel(stream)
    assert judged["row-001"] == {"p_1": 1, "p1b": 1, "n1a": 0}
    scores = pytrec_eval.RelevanceEvaluator(judged, {"recip_rank"}).evaluate(ranked)
    assert scores["row-000"]["recip_rank"] == 0.5


def test_compressed_files_are_equal_each_time(out: Path) -> None:
    """The default folder is OUT/exports; .gz is compressed, without a time."""
    result = run("export-rows", str(out), "--to", "triplets")
    assert "wrote 13 lines of 6 rows to" in result.out
    plain = (out / "exports/triplets.jsonl").read_bytes()
    packed = []
    for name in ("a.gz", "b.gz"):
        run("export-rows", str(out), "--to", "triplets", "--output", str(out / name))
        packed.append((out / name).read_bytes())
    assert packed[0] == packed[1]
    assert gzip.decompress(packed[0]) == plain


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("n-tuples",), "--to n-tuples needs --negatives N"),
        (("triplets", "--negatives", "3"), "--negatives goes with --to n-tuples, not triplets"),
    ],
    ids=["missing", "useless"],
)
def test_options_that_do_not_fit_are_refused(
    out: Path, options: tuple[str, ...], message: str
) -> None:
    """Each acts or raises."""
    result = run("export-rows", str(out), "--to", *options)
    assert result.code == 2
    assert message in result.err


def test_a_folder_without_rows_names_the_command(tmp_path: Path) -> None:
    """That makes them."""
    result = run("export-rows", str(tmp_path), "--to", "triplets")
    assert "make mine-negatives" in result.err
