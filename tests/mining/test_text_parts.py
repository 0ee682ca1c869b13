"""Texts read in parts, the same from a list and from Parquet."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import InputError
from mining.text_parts import ListedTexts, ParquetTexts, TextParts, texts_digest

TEXTS = [f"text {i} – длинный 文" * (i % 4) for i in range(57)]


def read(parts: TextParts) -> list[list[str]]:
    found = [parts.part(number) for number in range(len(parts))]
    assert [len(texts) for texts in found] == parts.rows()
    return found


@pytest.mark.parametrize("group", [5, 16, 100], ids=["small groups", "as parts", "one group"])
@pytest.mark.parametrize("size", [1, 16, 57, 99])
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()], ids=str)
def test_parquet_gives_what_the_list_gives(
    tmp_path: Path, size: int, group: int, kind: pa.DataType
) -> None:
    """Whatever the row groups; parts in any order."""
    path = str(tmp_path / "a.parquet")
    table = pa.table({"n": range(57), "text": pa.array(TEXTS, kind)})
    pq.write_table(table, path, row_group_size=group)
    parts = ParquetTexts([path], "text", size)
    assert read(parts) == read(ListedTexts(TEXTS, size))
    assert parts.part(len(parts) - 1) == TEXTS[(len(parts) - 1) * size :]
    assert parts.part(0) == TEXTS[:size]


def test_parts_do_not_cross_files(tmp_path: Path) -> None:
    """So a file that is added changes no part of the others; an empty file has none."""
    paths = [str(tmp_path / f"{i}.parquet") for i in range(3)]
    for path, texts in zip(paths, (TEXTS[:5], [], TEXTS[5:12]), strict=True):
        pq.write_table(pa.table({"text": pa.array(texts, pa.string())}), path)
    assert read(ParquetTexts(paths, "text", 4)) == [
        TEXTS[:4],
        TEXTS[4:5],
        TEXTS[5:9],
        TEXTS[9:12],
    ]
    assert read(ListedTexts([], 4)) == []


def test_what_is_no_column_of_texts_is_refused(tmp_path: Path) -> None:
    """A missing column, numbers, a missing text, no Parquet: told, not encoded as empty."""
    path = str(tmp_path / "a.parquet")
    pq.write_table(pa.table({"n": [1], "text": pa.array([None], pa.string())}), path)
    with pytest.raises(InputError, match=r"has no column 'txt'; it has \['n', 'text'\]"):
        ParquetTexts([path], "txt", 4)
    with pytest.raises(InputError, match="'n' holds int64, not strings"):
        ParquetTexts([path], "n", 4)
    with pytest.raises(InputError, match="1 rows have no 'text'"):
        ParquetTexts([path], "text", 4).part(0)
    (tmp_path / "b.parquet").write_bytes(b"text")
    for name in ("b.parquet", "c.parquet"):
        with pytest.raises(InputError, match=r"\.parquet cannot be read as Parquet"):
            ParquetTexts([str(tmp_path / name)], "text", 4)


@given(st.lists(st.text(max_size=5), max_size=6), st.lists(st.text(max_size=5), max_size=6))
def test_equal_digests_mean_equal_lists(one: list[str], other: list[str]) -> None:
    """Also where joined texts are equal: ["ab", "c"] and ["a", "bc"]."""
    assert (texts_digest(one) == texts_digest(other)) == (one == other)
    joined = ["".join(one)]
    assert (texts_digest(one) == texts_digest(joined)) == (one == joined)
