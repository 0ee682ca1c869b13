"""Texts on disk: the same texts as went in, and none of them in memory."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mining.passages import PASSAGE, collect
from mining.rows import ROW
from mining.text_file import TextFile


@settings(deadline=None)
@given(st.lists(st.lists(st.text(max_size=9), max_size=5), max_size=5), st.integers(0, 2))
def test_texts_come_back_as_they_were_added(batches: list[list[str]], skipped: int) -> None:
    """Whatever they are cut into, and though an array may begin within its buffers."""
    with closing(TextFile()) as stored:
        for texts in batches:
            whole = pa.array(["ä\0" * skipped] * skipped + texts, pa.large_string())
            stored.add(whole.slice(skipped))
        found = stored.mapped()
    found.validate(full=True)
    assert found.to_pylist() == [text for texts in batches for text in texts]


def test_long_texts_are_written_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mining.text_file._PART", 3)
    with closing(TextFile()) as stored:
        stored.add(pa.array(["äöü", "", "x" * 10], pa.large_string()))
        assert stored.mapped().to_pylist() == ["äöü", "", "x" * 10]


def test_no_file_stays(tmp_path: Path) -> None:
    """Neither while it is written, nor once it is mapped: a killed run has nothing to tidy."""
    with closing(TextFile(str(tmp_path))) as stored:
        stored.add(pa.array(["some text"], pa.large_string()))
        assert os.listdir(tmp_path) == []
        found = stored.mapped()
    assert os.listdir(tmp_path) == []
    assert found.to_pylist() == ["some text"]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        TextFile(str(tmp_path / "gone"))


def test_passages_of_a_corpus_take_no_memory_for_their_texts() -> None:
    """8 MB of texts: Arrow holds their names alone."""
    tables = (
        pa.table(
            [[f"{n} {'x' * 1000}" for n in range(k, k + 1000)], *[[f"{k}"] * 1000] * 4], PASSAGE
        )
        for k in range(0, 8000, 1000)
    )
    before = pa.total_allocated_bytes()
    found = collect(ROW.empty_table(), 0, tables)
    assert len(found.texts) == 8000
    assert found.texts[7999].startswith("7999 xxx")
    assert pa.total_allocated_bytes() - before < 1_000_000
