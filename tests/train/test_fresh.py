"""Versions of the negatives: whole or not there, and laid over rows by number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import InputError
from train import arrow_file, fresh
from train.fresh import Negatives, Overlay, Version, Versions
from train.phase_run import spans

IDS = np.array([[2, 0], [1, -1], [-1, -1]])


def negatives(made: tuple[int, ...] = (1, 1, 1)) -> Negatives:
    return Negatives(ids=IDS, made=np.array(made, np.int32))


def version(number: int) -> Version:
    return Version(number=number, phase=1, step=10 * number, facts={"overlap": 0.5})


def pool_in(folder: Path) -> fresh.Pool:
    """Write a pool of 3 passages and 3 rows, r2, r0 and r1."""
    passages = pa.table({"id": ["p0", "p1", "p2"], "text": ["zero", "one", "two"]})
    rows = pa.table({"id": ["r2", "r0", "r1"], "query": ["x", "y", "z"]})
    for name, table in ((fresh.PASSAGES, passages), (fresh.QUERIES, rows)):
        arrow_file.write(str(folder / name), table)
    return fresh.Pool(str(folder))


def test_a_version_is_there_when_its_mark_is(tmp_path: Path) -> None:
    """Arrays without a mark are none; the next attempt replaces them."""
    versions = Versions(str(tmp_path / "versions"))
    assert (versions.newest(), versions.numbers()) == (0, [])
    versions.write(version(1), negatives())
    versions.write(version(2), negatives())
    (versions.path(2) / "version.json").unlink()
    assert versions.newest() == 1
    with pytest.raises(InputError, match=r"version-000002/version\.json is missing or damaged"):
        versions.describe(2)
    versions.write(version(2), negatives((2, 1, 2)))
    assert versions.describe(2) == version(2)
    assert np.array_equal(versions.read(2).ids, IDS)
    assert versions.read(2).made.tolist() == [2, 1, 2]
    versions.drop_before(2)
    assert versions.numbers() == [2]


def test_damaged_arrays_are_refused(tmp_path: Path) -> None:
    versions = Versions(str(tmp_path / "versions"))
    versions.write(version(1), negatives())
    (versions.path(1) / "ids.npy").write_bytes(b"no array")
    with pytest.raises(InputError, match=f"remove {tmp_path} to begin again"):
        versions.read(1)


def test_the_schedule_is_kept(tmp_path: Path) -> None:
    versions = Versions(str(tmp_path / "versions"))
    assert versions.planned(1, 20) is None
    versions.plan(1, 20, 3)
    versions.plan(1, 40, 3)
    assert (versions.planned(1, 20), versions.planned(1, 40), versions.planned(0, 20)) == (
        3,
        3,
        None,
    )


def test_an_overlay_replaces_negatives_of_mined_rows(tmp_path: Path) -> None:
    """By the rows' ids; rows that no refresh has mined for stay; old scores go."""
    row = {"query": "q", "negatives": ["old"], "negative_ids": ["o"], "negative_scores": [0.5]}
    rows = [row | {"id": name} for name in ("r0", "r1", "r2")]
    overlay = Overlay(pool_in(tmp_path), negatives(made=(3, 1, 0)))
    first, second, third = overlay(rows)
    assert (first["negatives"], first["negative_ids"]) == (["one"], ["p1"])
    assert first["negative_scores"] == []
    assert second == rows[1]
    assert (third["negatives"], third["negative_ids"]) == (["two", "zero"], ["p2", "p0"])
    assert rows[0]["negatives"] == ["old"]
    with pytest.raises(InputError, match=r"'r9' is not in .* run: make mine-negatives"):
        overlay([row | {"id": "r9"}])


def test_a_missing_pool_names_its_command(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"passages.arrow is missing .*run: make mine-negatives"):
        fresh.Pool(str(tmp_path))


def test_a_table_of_many_chunks_is_read_by_number(tmp_path: Path) -> None:
    """Whatever its chunks, rows come back; the entry has what a manifest lists."""
    table = pa.concat_tables([pa.table({"n": [f"row {i}"]}) for i in range(9)])
    path = tmp_path / "rows.arrow"
    entry = arrow_file.write(str(path), table)
    rows = arrow_file.mapped(str(path), "nobody")
    assert (entry["name"], entry["rows"]) == ("rows.arrow", 9)
    assert entry["bytes"] == path.stat().st_size
    assert rows.take(pa.array([8, 0, 8])).column("n").to_pylist() == ["row 8", "row 0", "row 8"]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"rows\.arrow is missing or damaged .*run: nobody"):
        arrow_file.mapped(str(path), "nobody")


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 20))
def test_spans_cover_the_steps_and_end_at_refreshes(first: int, steps: int, every: int) -> None:
    found = list(spans(first, steps, every))
    assert [step for start, end in found for step in range(start, end)] == list(range(first, steps))
    assert all(start < end for start, end in found)
    inner = [end for _, end in found[:-1]]
    assert inner == [s for s in range(first + 1, steps) if every and s % every == 0]
