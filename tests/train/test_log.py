"""The log: it goes on behind what the checkpoint had, and says when there is no room."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from curation.errors import OutputError
from train import log
from train.log import Judgement

LINE = Judgement(phase="finetune", step=1, scores={"dense": {"nDCG@10": 0.5}}, is_best=True)


def test_a_log_goes_on_behind_the_checkpoint(tmp_path: Path) -> None:
    """What was written after it is gone; a line cut short by a kill is left out of what is read."""
    path = str(tmp_path / "reports" / "train.jsonl")
    with log.opened(path, 0) as first:
        first.write(LINE)
        size = first.size()
        first.write(LINE)
        first.write(LINE)
    assert size == Path(path).stat().st_size // 3
    with log.opened(path, 2 * size) as second:
        second.write(LINE)
    assert log.read(path) == [LINE.values()] * 3
    Path(path).write_bytes(Path(path).read_bytes()[:-10] + b"\xff")
    assert log.read(path) == [LINE.values()] * 2


def test_a_missing_log_begins_anew(tmp_path: Path) -> None:
    """Somebody removed it between two runs."""
    path = str(tmp_path / "train.jsonl")
    with log.opened(path, 5000) as found:
        found.write(LINE)
    assert log.read(path) == [LINE.values()]


def test_no_path_writes_nothing(tmp_path: Path) -> None:
    with log.opened("", 0, str(tmp_path / "events")) as found:
        found.write(LINE)
        assert found.size() == 0
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """The message names the log and says that nothing is lost."""
    path = str(tmp_path / "train.jsonl")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    message = f"the log {path} cannot be written (File too large); the last checkpoint is intact"
    resource.setrlimit(resource.RLIMIT_FSIZE, (150, hard))
    try:
        with log.opened(path, 0, str(tmp_path / "events")) as found:
            found.write(LINE)
            with pytest.raises(OutputError) as caught:
                found.write(LINE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(caught.value) == f"{message}: make room and run again"
    assert log.read(path) == [LINE.values()]
