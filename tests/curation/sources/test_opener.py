"""Several files, or one several times: what was read and what was damaged."""

from __future__ import annotations

import gzip
from pathlib import Path

from curation.sources.joins import blocks
from curation.sources.opener import Opener


def test_position_adds_up_over_files(tmp_path: Path) -> None:
    """Compressed bytes of all that was opened, closed or not."""
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(gzip.compress(name.encode() * 1000))
    size = (tmp_path / "a").stat().st_size
    opener = Opener()
    with opener.open(str(tmp_path / "a")) as first:
        assert first.read() == b"a" * 1000
        assert opener.position == size
        with opener.open(str(tmp_path / "b")) as second:
            second.read()
        assert opener.position == 2 * size
    with opener.open(str(tmp_path / "a")) as again:
        again.read()
    assert opener.position == 3 * size
    assert opener.damage == {}


def test_damage_is_kept_by_path(tmp_path: Path) -> None:
    """A file that is read twice is damaged once."""
    path = str(tmp_path / "cut.gz")
    Path(path).write_bytes(gzip.compress(b"text " * 1000)[:-10])
    opener = Opener()
    for _ in range(2):
        with opener.open(path) as stream:
            assert stream.read().startswith(b"text ")
    assert opener.damage == {path: "truncated"}


def test_blocks_are_full_but_the_last() -> None:
    """Any iterable; nothing gives no block."""
    assert list(blocks(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(blocks(range(4), 2)) == [[0, 1], [2, 3]]
    assert list(blocks([], 2)) == []
