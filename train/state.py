"""The checkpoints of a run that is under way: one that is whole is there whenever it is killed.

A checkpoint is written to a new folder and reaches the disk before `position.json` names it; only
then the last one goes. Files hold tensors and plain values alone: a pickle with code in it is
refused, not run.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from curation.errors import InputError, OutputError, first_line
from train.folders import flush_folder

POSITION, MODEL, OPTIMIZER = "position.json", "model.pt", "optimizer.pt"
_WRITING = ".writing-"  # a file
_SAVING = ".saving-"  # a folder


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """Where a run stands; with the weights and the optimizer's state it is all that goes on."""

    phase: int = 0
    step: int = 0
    """Steps done in the phase."""
    world: int = 1
    """The processes: batches are cut by their number."""
    log_bytes: int = 0
    """How long the log was: what comes behind is trained again."""
    best: str = ""
    """The folder with the best weights of the phase, if they are kept."""
    negatives: int = 0
    """The version of the negatives in use (train.fresh); 0: those of the shards."""
    memory: dict[str, Any] = field(default_factory=dict)
    """What the guard, the watch and the batches remember."""

    @property
    def folder(self) -> str:
        """The checkpoint's name."""
        return f"state-{self.phase}-{self.step}"


@dataclass(frozen=True, slots=True)
class StateFolder:
    """Where the checkpoints lie."""

    root: str

    def path(self, *names: str) -> str:
        """Return a path inside the folder."""
        return os.path.join(self.root, *names)

    def read(self, world: int | None = 1) -> Position | None:
        """Return where the run stands, None at its beginning; world None: whatever its processes.

        Raises `InputError` for a file that is damaged or of a run with other processes.
        """
        path = self.path(POSITION)
        if not os.path.exists(path):
            return None
        try:
            with open(path, encoding="utf-8") as handle:
                position = Position(**json.load(handle))
        except (OSError, ValueError, TypeError) as error:
            raise self._damaged(path, str(error)) from error
        if world is not None and position.world != world:
            raise InputError(
                f"the run in {self.root} has {position.world} processes, not {world}: its batches "
                f"are cut for so many; go on with --nproc-per-node {position.world} or remove it"
            )
        return position

    def write(self, position: Position, files: Mapping[str, Any]) -> None:
        """Write a checkpoint, then point to it, then drop those that nothing points to.

        Raises `OutputError` where it cannot be written; the last one is intact then.
        """
        staging = Path(self.path(_SAVING + position.folder))
        try:
            os.makedirs(self.root, exist_ok=True)
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            for name, value in files.items():
                _write(staging / name, value)
            flush_folder(staging)
            shutil.rmtree(self.path(position.folder), ignore_errors=True)  # nothing points to it
            os.replace(staging, self.path(position.folder))
            self._point(position)
        except (OSError, RuntimeError) as error:  # torch.save raises RuntimeError
            shutil.rmtree(staging, ignore_errors=True)
            raise OutputError(
                f"the checkpoint {self.path(position.folder)} cannot be written "
                f"({_reason(error)}); the last one is intact: make room and run again"
            ) from error
        self._drop_others(position)

    def load(self, folder: str, name: str) -> Any:
        """Return the tensors of a file, on the CPU; raise `InputError` for anything else."""
        path = self.path(folder, name)
        try:
            with warnings.catch_warnings(action="ignore"):  # of pickles that are not torch's
                return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            reason = "a pickle that is cut short or holds more than tensors could run code"
            raise self._damaged(path, f"{reason} and is not read") from error
        except Exception as error:  # unreadable in any way
            raise self._damaged(path, first_line(error)) from error

    def _point(self, position: Position) -> None:
        values = {name: getattr(position, name) for name in position.__slots__}
        temporary = self.path(_WRITING + POSITION)
        with open(temporary, "w", encoding="utf-8") as handle:
            json.dump(values, handle, indent=2)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, self.path(POSITION))
        flush_folder(Path(self.root))

    def _drop_others(self, position: Position) -> None:
        for path in Path(self.root).iterdir():
            if path.is_dir() and path.name not in (position.folder, position.best):
                shutil.rmtree(path, ignore_errors=True)
        if position.best and position.best != position.folder:
            Path(self.path(position.best, OPTIMIZER)).unlink(missing_ok=True)

    def _damaged(self, path: str, reason: str) -> InputError:
        return InputError(f"{path} is damaged ({reason}); remove {self.root} to begin again")


def _write(path: Path, value: Any) -> None:
    with path.open("wb") as handle:
        torch.save(value, handle)
        handle.flush()
        os.fsync(handle.fileno())


def _reason(error: BaseException) -> str:
    """Return what the operating system said, which torch hides behind its own message."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return first_line(error)
