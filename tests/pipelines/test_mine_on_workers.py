"""Encoding and searching on Beam's workers: the rows of one process, whatever the workers."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mining.index import search
from mining.shards import Shards
from pipelines import mine_on_workers, runner
from pipelines.mine_on_workers import SearchJob, build_search
from pipelines.work import Workspace
from tests.command_line import digests, leftovers, parts_only, run
from tests.pipelines.refreshing import prepare


@pytest.fixture(scope="module")
def mined(tiny_encoder: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The config of a run that was mined in this process."""
    return prepare(tmp_path_factory.mktemp("mined"), tiny_encoder)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_mine_the_same_rows(mined: str, tmp_path: Path, workers: int) -> None:
    """Bit-equal parts, from vectors that the workers encoded; nothing is left over."""
    out = tmp_path / "out"
    shutil.copytree(Path(mined).parent / "pairs", out / "pairs")
    arguments = ["mine-negatives", "--config", mined, "--out", out]
    arguments += ["--set", "mining.on_workers=true", "--set", f"runner.workers={workers}"]
    result = run(*arguments)
    assert result.code == 0, result.err
    assert "encode on workers" in result.err
    ours, theirs = (digests(folder / "training") for folder in (out, Path(mined).parent))
    assert parts_only(ours) == parts_only(theirs)
    vectors = [
        {path.name: path.read_bytes() for path in folder.rglob("*.dense.npy")}
        for folder in (out / "vectors", Path(mined).parent / "vectors")
    ]
    assert vectors[0] == vectors[1]
    assert len(vectors[0]) == 6  # 12 queries and 12 passages in parts of 5
    assert leftovers(out) == []


def test_blocks_and_parts_are_merged_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uneven parts, several blocks, equal scores: the best of all in the order of exact search."""
    monkeypatch.setattr(mine_on_workers, "_BLOCK", 4)
    generator = np.random.default_rng(0)
    passages = generator.integers(-2, 3, (23, 4)).astype(np.float32)  # many scores are equal
    queries = generator.integers(-2, 3, (10, 4)).astype(np.float32)
    cuts = [0, 9, 10, 23]
    files = [str(tmp_path / f"{name}.npy") for name in ("queries", 0, 1, 2)]
    for path, array in zip(files, [queries, *np.split(passages, cuts[1:-1])], strict=True):
        np.save(path, array)
    job = SearchJob(
        workspace=Workspace(str(tmp_path / "work")),
        queries=tuple(files[:1]),
        passages=tuple(files[1:]),
        starts=tuple(cuts),
        width=4,
        depth=7,
        memory_mb=16.0,
        device="auto",
    )
    pipeline = runner.create_pipeline([], 1, 9)
    build_search(pipeline, job, [(block, part) for block in range(3) for part in range(3)])
    assert runner.run(pipeline)
    scores, ids = search(Shards([queries]), Shards([passages]), 7)
    found = [job.best(block, -1) for block in range(3)]
    assert np.array_equal(np.concatenate([s for s, _ in found]), scores)
    assert np.array_equal(np.concatenate([i for _, i in found]), ids)


@pytest.mark.parametrize(
    "override",
    ["mining.sources=['bm25']", "mining.pool=language", "mining.index.factory=HNSW32"],
)
def test_what_workers_do_not_search_is_refused(mined: str, override: str) -> None:
    result = run(
        "mine-negatives", "--config", mined, "--set", "mining.on_workers=true", "--set", override
    )
    assert result.code == 2
    assert "mining.on_workers = true goes with" in result.err
