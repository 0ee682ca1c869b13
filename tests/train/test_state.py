"""Checkpoints of a run: whole whenever the process dies, refused where they are not ours."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from curation.errors import InputError, OutputError
from train import state
from train.state import MODEL, OPTIMIZER, Position, StateFolder

FIRST = Position(phase=0, step=2, log_bytes=10, memory={"losses": [0.1]})
SECOND = Position(phase=0, step=4, log_bytes=20)


def files(value: float) -> dict[str, Any]:
    weights = {"w": torch.full((300, 300), value)}
    return {MODEL: weights, OPTIMIZER: {"optimizer": weights}}


def value_of(folder: StateFolder) -> tuple[Position, float]:
    """Return where a folder stands and what its weights are, after reading all of it."""
    position = folder.read()
    assert position is not None
    weights = folder.load(position.folder, MODEL)["w"]
    assert torch.equal(folder.load(position.folder, OPTIMIZER)["optimizer"]["w"], weights)
    assert len(weights.unique()) == 1
    return position, float(weights[0, 0])


def write_and_die(folder: StateFolder, prepare: Callable[[], object]) -> int:
    """Write the second checkpoint in a child that `prepare` may make die; return how it ended."""
    child = os.fork()
    if child == 0:
        prepare()
        folder.write(SECOND, files(2.0))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die_at(number: int) -> Callable[[], None]:
    """Return what kills the process before its n-th opening, renaming or removing of a file."""

    def prepare() -> None:
        seen = [0]

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"):
                seen[0] += "state" in str(arguments[0])
                if seen[0] == number:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)

    return prepare


def test_killed_at_any_file_operation_a_whole_checkpoint_is_there(tmp_path: Path) -> None:
    """Before position.json names the second the first is found, after that the second."""
    found = []
    for number in range(1, 40):
        folder = StateFolder(str(tmp_path / f"state-{number}"))
        folder.write(FIRST, files(1.0))
        end = write_and_die(folder, die_at(number))
        position, value = value_of(folder)
        assert (position, value) in [(FIRST, 1.0), (SECOND, 2.0)]
        found.append(value)
        folder.write(replace(SECOND, step=5), files(3.0))
        assert sorted(os.listdir(folder.root)) == ["position.json", "state-0-5"]
        if end == 0:
            break
        assert end == -signal.SIGKILL
    assert end == 0
    assert found == sorted(found)
    assert found.count(1.0) > 5  # of 14: 8 before the new one is named
    assert found.count(2.0) > 3


@pytest.mark.parametrize("name", [MODEL, OPTIMIZER])
def test_killed_amid_a_file_the_last_checkpoint_is_there(tmp_path: Path, name: str) -> None:
    """Half of a file has reached the disk."""
    folder = StateFolder(str(tmp_path / "state"))
    folder.write(FIRST, files(1.0))

    def prepare() -> None:
        write = state._write

        def half(path: Path, value: Any) -> None:
            write(path, value)
            if path.name == name:
                os.truncate(path, path.stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)

        state._write = half

    assert write_and_die(folder, prepare) == -signal.SIGKILL
    assert value_of(folder) == (FIRST, 1.0)


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    """The message says what, why and that nothing is lost; the next write succeeds."""
    folder = StateFolder(str(tmp_path / "state"))
    folder.write(FIRST, files(1.0))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OutputError) as caught:
            folder.write(SECOND, files(2.0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(caught.value) == (
        f"the checkpoint {folder.root}/state-0-4 cannot be written (File too large); the last one "
        "is intact: make room and run again"
    )
    assert sorted(os.listdir(folder.root)) == ["position.json", "state-0-2"]
    assert value_of(folder) == (FIRST, 1.0)
    folder.write(SECOND, files(2.0))
    assert value_of(folder) == (SECOND, 2.0)


class Bomb:
    """Runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("save", [torch.save, lambda v, p: p.write_bytes(pickle.dumps(v))])
def test_a_pickle_with_code_is_refused_and_not_run(
    tmp_path: Path, save: Callable[[Any, Path], Any]
) -> None:
    """Inside torch's archive and as a bare pickle; no advice to read it all the same."""
    folder = StateFolder(str(tmp_path / "state"))
    folder.write(FIRST, files(1.0))
    path = tmp_path / "state" / "state-0-2" / MODEL
    save({"w": Bomb(tmp_path / "executed")}, path)
    with pytest.raises(InputError) as caught:
        folder.load("state-0-2", MODEL)
    assert str(caught.value) == (
        f"{path} is damaged (a pickle that is cut short or holds more than tensors could run code "
        f"and is not read); remove {folder.root} to begin again"
    )
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("text", ["", "{}[", "[1]", '{"phase": 1, "wrong": 2}'])
def test_a_damaged_position_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "position.json").write_text(text)
    with pytest.raises(InputError, match=r"position\.json is damaged \(.*; remove .* to begin"):
        StateFolder(str(tmp_path)).read()


def test_the_best_weights_stay_without_their_optimizer(tmp_path: Path) -> None:
    """Three states: the current, the best, none else."""
    folder = StateFolder(str(tmp_path))
    folder.write(FIRST, files(1.0))
    folder.write(replace(SECOND, best=FIRST.folder), files(2.0))
    folder.write(replace(SECOND, step=6, best=FIRST.folder), files(3.0))
    assert sorted(os.listdir(tmp_path)) == ["position.json", "state-0-2", "state-0-6"]
    assert os.listdir(tmp_path / "state-0-2") == [MODEL]
    assert float(folder.load("state-0-2", MODEL)["w"][0, 0]) == 1.0
