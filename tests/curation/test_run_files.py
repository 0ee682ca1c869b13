"""The run file: only what a key range overlaps is read, and no other file is taken for a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation import run_files, runs, storage
from curation.errors import InputError
from curation.runs import KEY

SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string())])
KEYED = SCHEMA.append(pa.field(KEY, pa.uint64()))
TOP = (1 << 64) - 1


def write(path: Path, rows: int, characters: int = 4000) -> str:
    """Write a run of `rows` evenly spread keys."""
    keys = np.arange(rows, dtype=np.uint64) * np.uint64(TOP // max(rows, 1))
    ids = [f"{number:06d}" for number in range(rows)]
    table = pa.table({"id": ids, "text": ["x" * characters] * rows}, schema=SCHEMA)
    runs.write_run(str(path), table, keys)
    return str(path)


class Spans:
    """Counts what is read through `storage.read_span`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[int] = []
        read = storage.read_span

        def counted(path: str, start: int, length: int) -> bytes:
            data = read(path, start, length)
            self.calls.append(len(data))
            return data

        monkeypatch.setattr(storage, "read_span", counted)


def test_a_range_takes_two_reads_of_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1/64 of a run of 16 MB: the tail, and at most two batches more than the rows need."""
    path = write(tmp_path / "a.run", 4000)
    spans = Spans(monkeypatch)
    batches = run_files.read(path, 1 << 63, (1 << 63) + TOP // 64, KEYED, KEY)
    rows = sum(batch.num_rows for batch in batches)
    assert rows == 62
    assert len(spans.calls) == 2
    whole = Path(path).stat().st_size
    assert spans.calls[1] < whole / 64 + 2 * whole / 62


def test_a_long_index_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More batches than the first read of the tail covers: a second one brings the rest."""
    monkeypatch.setattr(run_files, "BATCH_BYTES", 4096)
    path = write(tmp_path / "a.run", 1500)
    spans = Spans(monkeypatch)
    [batch] = run_files.read(path, 0, 0, KEYED, KEY)
    assert batch["id"].to_pylist() == ["000000"]
    assert len(spans.calls) == 3


@pytest.mark.parametrize("rows", [0, 1, 63, 1000])
def test_every_row_comes_back(tmp_path: Path, rows: int) -> None:
    """All batches together are the rows, in key order."""
    path = write(tmp_path / "a.run", rows)
    found = [i for b in run_files.read(path, 0, TOP, KEYED, KEY) for i in b["id"].to_pylist()]
    assert found == [f"{number:06d}" for number in range(rows)]
    assert runs.describe_run(path).histogram.rows.sum() == rows


@pytest.mark.parametrize("data", [b"", b"short", b"PAR1" * 100], ids=["empty", "short", "other"])
def test_what_is_no_run_is_refused(tmp_path: Path, data: bytes) -> None:
    """A truncated or foreign file raises, it does not give rows."""
    path = tmp_path / "a.run"
    path.write_bytes(data)
    with pytest.raises(InputError, match="no complete run"):
        run_files.read(str(path), 0, TOP, KEYED, KEY)


def test_another_schema_is_refused(tmp_path: Path) -> None:
    """Batches hold no schema of their own: reading them with another one would give nonsense."""
    path = write(tmp_path / "a.run", 3)
    other = pa.schema([("id", pa.string()), ("n", pa.int64()), (KEY, pa.uint64())])
    with pytest.raises(InputError, match="another schema"):
        run_files.read(path, 0, TOP, other, KEY)


def test_some_columns_of_all_rows(tmp_path: Path) -> None:
    """The columns that are named, in that order, whatever their place in the file."""
    path = write(tmp_path / "a.run", 300)
    table = runs.read_columns(path, [KEY, "id"])
    assert table.column_names == [KEY, "id"]
    assert table["id"].to_pylist() == [f"{number:06d}" for number in range(300)]
    assert runs.read_columns(write(tmp_path / "b.run", 0), ["id"]).num_rows == 0


def test_some_columns_of_a_range(tmp_path: Path) -> None:
    """The key comes along, and ties are broken by the columns that are there."""
    path = write(tmp_path / "a.run", 300)
    part = runs.KeyRange(0, 1 << 63, TOP)
    found = runs.read_range([path], part, SCHEMA, ["id"])
    assert found.column_names == ["id", KEY]
    assert found == runs.read_range([path], part, SCHEMA).drop_columns(["text"])
