"""Rows out of shards by their place, whatever the files and row groups."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from curation.errors import InputError
from curation.records import DOCUMENT, PAIR, Document, Pair, to_table
from curation.storage import write_parquet
from tests.builders import training_rows, write_training_shards
from train import rows
from train.batching import Batch
from train.data import shards_of
from train.rows import RowReader
from train.stage_config import BatchingConfig
from train.streams import Shard, layout_of

ROWS = training_rows(20)


def write(folder: Path, sizes: list[int]) -> list[Shard]:
    return shards_of(str(folder), write_training_shards(folder, ROWS, sizes))


def reader_of(shards: list[Shard], data: str = "training") -> closing[RowReader]:
    return closing(RowReader(layout_of(shards, BatchingConfig()), data, 0))


def batch(*places: int, stream: int = 0) -> Batch:
    return Batch(0, stream, 0, np.array(places, np.int64))


@pytest.mark.parametrize("sizes", [[20], [7, 13], [1, 0, 18, 1]], ids=str)
def test_reader_finds_rows_across_shards_and_row_groups(tmp_path: Path, sizes: list[int]) -> None:
    """Place i is row i of the shards laid end to end, however they are cut."""
    with reader_of(write(tmp_path, sizes)) as reader:
        for places in ([0, 1, 19], [2, 3, 4, 6, 7, 8], list(range(20))):
            found = reader.read(batch(*places))
            assert [r["id"] for r in found] == [ROWS[i].id for i in places]
            assert [r["query"] for r in found] == [ROWS[i].query for i in places]
            assert [r["positives"] for r in found] == [ROWS[i].positives for i in places]
            assert [r["negatives"] for r in found] == [ROWS[i].negatives for i in places]


def test_reader_takes_rows_of_the_batchs_stream(tmp_path: Path) -> None:
    """Shards of other buckets do not shift the place."""
    parts = write_training_shards(tmp_path, ROWS[:5], [5], "0-500")["parts"]
    parts += write_training_shards(tmp_path, ROWS[5:], [15], "500-1000")["parts"]
    with reader_of(shards_of(str(tmp_path), {"parts": parts})) as reader:
        found = reader.read(batch(0, 14, stream=1))
    assert [r["id"] for r in found] == [ROWS[5].id, ROWS[19].id]


def test_reader_holds_few_row_groups_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of shards would use up memory and descriptors; the oldest are closed."""
    monkeypatch.setattr(rows, "_KEPT_BYTES", 3000)
    monkeypatch.setattr(rows, "_OPEN_FILES", 2)
    with reader_of(write(tmp_path, [4, 4, 4, 4, 4])) as reader:
        for _ in range(2):
            assert [r["id"] for r in reader.read(batch(*range(20)))] == [r.id for r in ROWS]
            assert len(reader._files) == 2
            assert 1 <= len(reader._groups) < 6
            assert reader._held() <= 3000
    assert not reader._files


@pytest.mark.parametrize("cut", ["gone", "empty", "footer", "middle"])
def test_damaged_shard_is_named_with_the_way_out(tmp_path: Path, cut: str) -> None:
    """Missing, empty, cut or overwritten files raise `InputError`."""
    shards = write(tmp_path, [20])
    path = Path(shards[0].path)
    whole = path.read_bytes()
    if cut == "gone":
        path.unlink()
    else:
        middle = whole[:4] + b"\xff" * 600 + whole[604:]
        path.write_bytes({"empty": b"", "footer": whole[:-9], "middle": middle}[cut])
    with reader_of(shards) as reader, pytest.raises(InputError) as caught:
        reader.read(batch(0))
    assert str(caught.value).startswith(f"{path} is missing or damaged (")
    assert str(caught.value).endswith("; run: make mine-negatives")


def test_shard_with_fewer_rows_than_its_manifest_is_named(tmp_path: Path) -> None:
    """A shard of an earlier run under a new manifest."""
    (shard,) = write(tmp_path, [20])
    with (
        reader_of([Shard(shard.path, 0, 25)]) as reader,
        pytest.raises(InputError, match="has 20 rows, its manifest says 25; run: make mine"),
    ):
        reader.read(batch(20))


def test_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    """Parquet leaves out unknown columns in silence; the missing one is named."""
    with (
        reader_of(write(tmp_path, [20]), "pairs") as reader,
        pytest.raises(InputError, match=r"\(no column document_id\); run: make curate"),
    ):
        reader.read(batch(0))


def test_pairs_and_documents_are_read(tmp_path: Path) -> None:
    """With the columns that their stages need, and no others."""
    pair = Pair("q", "p", "title-body", "en", "en", "s", document_id="d")
    document = Document("d", "s", "title", "text", text_hash=bytes(16))
    for name, record, schema in (("pairs", pair, PAIR), ("documents", document, DOCUMENT)):
        part = write_parquet(str(tmp_path / name / "part-0.parquet"), to_table([record], schema))
        shards = shards_of(str(tmp_path / name), {"parts": [part]}, by_length=False)
        with reader_of(shards, name) as reader:
            (found,) = reader.read(batch(0))
        assert list(found) == list(rows.SOURCES[name].columns)
        assert found.items() <= {k: getattr(record, k) for k in record.__slots__}.items()
