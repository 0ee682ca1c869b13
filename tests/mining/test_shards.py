"""Vectors in parts: read as one array is, scored pair by pair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mining import shards
from mining.shards import Shards, as_shards, score_pairs


def whole_and_parts(folder: Path, dtype: type = np.float16) -> tuple[np.ndarray, Shards]:
    """Return 70 vectors and the same in five parts, of which one is empty and two are files."""
    whole = np.random.default_rng(0).standard_normal((70, 6)).astype(dtype)
    parts: list[shards.Part] = list(np.split(whole, [10, 10, 35, 69]))
    for number in (0, 3):
        name = str(folder / f"{number}.npy")
        np.save(name, parts[number])
        parts[number] = name
    return whole.astype(np.float32), Shards(parts)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_parts_are_read_as_one_array(tmp_path: Path, dtype: type) -> None:
    """By number, slice, list and block; as fp32 whatever is stored."""
    whole, parts = whole_and_parts(tmp_path, dtype)
    assert (len(parts), parts.shape, parts.width) == (70, (70, 6), 6)
    for rows in (0, 69, -1, slice(5, 40), slice(3, 70, 7), slice(0, 0), [], [69, 0, 34, 35, 0, -2]):
        found = parts[rows]
        assert found.dtype == np.float32
        assert np.array_equal(found, whole[rows] if rows != [] else whole[:0])
    blocks = list(parts.blocks(16))
    assert [start for start, _ in blocks] == [0, 16, 32, 48, 64]
    assert np.array_equal(np.concatenate([rows for _, rows in blocks]), whole)


def test_no_file_stays_open(tmp_path: Path) -> None:
    """A corpus of thousands of parts would take all file handles of a process."""
    _, parts = whole_and_parts(tmp_path)
    before = len(list(Path("/proc/self/fd").iterdir()))
    parts[:], parts.take(np.arange(70))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_parts_of_other_widths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"different widths: \[3, 4\]"):
        Shards([np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32)])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), cuts=st.lists(st.integers(0, 50), max_size=4))
def test_a_pair_has_one_score_however_vectors_are_cut(seed: int, cuts: list[int]) -> None:
    """Bit for bit: alone, among others, in an array or in parts."""
    draw = np.random.default_rng(seed)
    queries = draw.standard_normal((9, 48)).astype(np.float32)
    passages = draw.standard_normal((50, 48)).astype(np.float16)
    q, p = draw.integers(0, 9, 80), draw.integers(0, 50, 80)
    parts = Shards(np.split(passages, sorted(cuts)))
    scores = score_pairs(queries, parts, q, p)
    expected = np.einsum("nd,nd->n", queries[q].astype(np.float64), passages[p].astype(np.float64))
    np.testing.assert_allclose(scores, expected, atol=1e-4)
    assert np.array_equal(scores, score_pairs(as_shards(queries), passages, q, p))
    alone = [score_pairs(queries, passages, q[i : i + 1], p[i : i + 1])[0] for i in range(5)]
    assert np.array_equal(scores[:5], alone)
    assert len(score_pairs(queries, passages, q[:0], p[:0])) == 0
