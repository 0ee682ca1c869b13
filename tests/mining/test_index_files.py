"""Indexes on disk: whole or not at all, the same when opened again."""

from __future__ import annotations

import json
from pathlib import Path

import faiss
import numpy as np
import pytest

from curation.errors import InputError
from mining.index import DenseIndex
from mining.index_config import IndexConfig
from mining.index_files import open_index, save_index
from mining.shards import Shards
from tests.mining.test_dense_index import PASSAGES, QUERIES

faiss.omp_set_num_threads(1)


def in_parts(folder: Path) -> Shards:
    """Return the passages as two files and an array."""
    folder.mkdir()
    for name, rows in (("a", PASSAGES[:1000]), ("b", PASSAGES[1000:2500])):
        np.save(folder / f"{name}.npy", rows.astype(np.float16))
    last = PASSAGES[2500:].astype(np.float16)
    return Shards([str(folder / "a.npy"), str(folder / "b.npy"), last])


@pytest.mark.parametrize("factory", ["Flat", "PQ16x4fs", "IVF16,Flat", "HNSW16"])
def test_an_index_that_is_opened_again_finds_the_same(tmp_path: Path, factory: str) -> None:
    """Bit for bit, also where its first files have gone; the old one is replaced."""
    config = IndexConfig(factory=factory, memory_mb=64)
    index = DenseIndex.build(in_parts(tmp_path / "vectors"), config, queries=QUERIES)
    expected = index.search(QUERIES, 50)
    target = str(tmp_path / "index")
    save_index(DenseIndex.build(PASSAGES[:50]), target)
    save_index(index, target)
    effort, recall = index.effort, index.recall
    del index
    (tmp_path / "vectors/a.npy").unlink()
    found = open_index(target, IndexConfig(memory_mb=64))
    assert (found.factory, found.effort, found.recall) == (factory, effort, recall)
    for one, other in zip(found.search(QUERIES, 50), expected, strict=True):
        assert np.array_equal(one, other)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_vectors_on_the_same_disk_are_linked(tmp_path: Path) -> None:
    """An index of a corpus does not double it."""
    vectors = in_parts(tmp_path / "vectors")
    save_index(DenseIndex.build(vectors), str(tmp_path / "index"))
    kept = tmp_path / "index/vectors-00001.npy"
    assert kept.stat().st_ino == (tmp_path / "vectors/b.npy").stat().st_ino


def test_what_is_no_index_or_not_all_of_it_is_refused(tmp_path: Path) -> None:
    """Missing, cut, of another format: each told."""
    folder = tmp_path / "index"
    with pytest.raises(InputError, match=r"holds no dense index: index\.json cannot be read"):
        open_index(str(folder))
    save_index(DenseIndex.build(PASSAGES), str(folder))
    vectors = folder / "vectors-00000.npy"
    vectors.write_bytes(vectors.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"vectors-00000\.npy is missing or cut"):
        open_index(str(folder))
    description = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps(description | {"format": 0}))
    with pytest.raises(InputError, match="of format 0, this is format 1: build it again"):
        open_index(str(folder))
