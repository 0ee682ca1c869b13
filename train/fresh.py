"""Negatives that are mined anew while a model learns: numbered versions, laid over the rows.

A version is a folder of arrays with a line for each row of the pool (mining.stored_pool), numbers
of passages and not texts; `version.json`, written last, says that it is whole. A version never
changes, so a step's rows follow from (the shards, the version in use). `schedule.json` holds which
version came into use at which step: a run that goes on from an earlier checkpoint takes the same.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curation.errors import InputError
from train import arrow_file
from train.data import text_key
from train.folders import flush_folder
from train.model import M3Model
from train.plan import Phase

Ids = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]

MINED_BY = "make mine-negatives"
PASSAGES, QUERIES = "passages.arrow", "queries.arrow"
_MARKER, _SCHEDULE, _WRITING = "version.json", "schedule.json", ".writing-"


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """What is known of a version of the negatives."""

    number: int
    phase: int
    step: int
    """The weights it was mined with: those after so many steps of the phase."""
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    """Rows mined anew, and how the negatives drift (mining.refresh)."""


@dataclass(frozen=True, slots=True)
class Negatives:
    """The arrays of a version, for the Q rows of the pool."""

    ids: Ids
    """(Q, n) passage numbers, labelled negatives first; -1: no more."""
    made: npt.NDArray[np.int32]
    """(Q,) the version that mined the row; 0: as in the shards."""


class Refresher(Protocol):
    """What the trainer asks for negatives; it is made in pipelines."""

    def every(self, phase: Phase) -> int:
        """Return the steps between two refreshes in a phase; 0: there are none."""

    @property
    def wants_checkpoint(self) -> bool:
        """Whether a refresh begins from a saved state: it takes long, or others make it."""

    def at(self, model: M3Model, phase: Phase, step: int, version: int) -> Version | None:
        """Return the version to use from a step on, None: as before; every process calls it."""

    def rows(self, version: int) -> Overlay | None:
        """Return what lays a version over rows; version 0 is what the shards hold: None."""

    def saved(self, version: int) -> None:
        """Take note that a checkpoint uses a version: what is older is of no more use."""

    def reset(self) -> None:
        """Drop what an earlier run left; the first process calls it where nothing is trained."""


@dataclass(frozen=True, slots=True)
class Versions:
    """The folder of versions; written by one process at a time, read by any."""

    root: str

    def numbers(self) -> list[int]:
        """Return the numbers of whole versions, ascending."""
        found = Path(self.root).glob(f"version-*/{_MARKER}")
        return sorted(int(path.parent.name.removeprefix("version-")) for path in found)

    def newest(self) -> int:
        """Return the number of the last whole version, 0 where there is none."""
        return max(self.numbers(), default=0)

    def describe(self, number: int) -> Version:
        """Return what a version says of itself; raise `InputError` where it is not there."""
        path = self.path(number) / _MARKER
        try:
            return Version(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise self._damaged(path, error) from error

    def read(self, number: int) -> Negatives:
        """Return the arrays of a version, memory-mapped; raise `InputError` for damaged ones."""
        folder = self.path(number)
        try:
            return Negatives(*(np.load(folder / f"{n}.npy", "r") for n in Negatives.__slots__))
        except (OSError, ValueError) as error:
            raise self._damaged(folder, error) from error

    def write(self, version: Version, negatives: Negatives) -> None:
        """Write a version; what an interrupted attempt left of it is replaced."""
        folder = self.path(version.number)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in Negatives.__slots__:
            with (folder / f"{name}.npy").open("wb") as handle:
                np.save(handle, getattr(negatives, name), allow_pickle=False)
                handle.flush()
                os.fsync(handle.fileno())
        _write_json(folder / _MARKER, asdict(version))

    def clear(self) -> None:
        """Remove all versions."""
        shutil.rmtree(self.root, ignore_errors=True)

    def drop_before(self, number: int) -> None:
        """Remove versions that no checkpoint uses any more."""
        for old in self.numbers():
            if old < number:
                (self.path(old) / _MARKER).unlink()
                shutil.rmtree(self.path(old), ignore_errors=True)

    def planned(self, phase: int, step: int) -> int | None:
        """Return the version that came into use at a step before, None at the first time."""
        found: int | None = self._schedule().get(f"{phase}-{step}")
        return found

    def plan(self, phase: int, step: int, number: int) -> None:
        """Note that a version comes into use at a step."""
        Path(self.root).mkdir(parents=True, exist_ok=True)
        _write_json(Path(self.root) / _SCHEDULE, self._schedule() | {f"{phase}-{step}": number})

    def path(self, number: int) -> Path:
        """Return the folder of a version."""
        return Path(self.root) / f"version-{number:06d}"

    def _schedule(self) -> dict[str, int]:
        path = Path(self.root) / _SCHEDULE
        if not path.exists():
            return {}
        found: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def _damaged(self, path: Path, error: object) -> InputError:
        return InputError(
            f"{path} is missing or damaged ({error}), and the run's checkpoint uses it; remove "
            f"{os.path.dirname(self.root)} to begin again"
        )


def _write_json(path: Path, value: Any) -> None:
    temporary = path.with_name(_WRITING + path.name)
    with temporary.open("w", encoding="utf-8") as handle:
        json.dump(value, handle, indent=2)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(temporary, path)
    flush_folder(path.parent)


class Pool:
    """The passages and the rows that versions count, memory-mapped but for 16 bytes a row."""

    def __init__(self, folder: str) -> None:
        """Open a pool; raise `InputError` where it is missing."""
        self.folder = folder
        self.passages = arrow_file.mapped(f"{folder}/{PASSAGES}", MINED_BY)
        self.queries = arrow_file.mapped(f"{folder}/{QUERIES}", MINED_BY)
        ids = self.queries.column("id").to_pylist()
        keys = np.array([text_key(name) for name in ids], np.int64)
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    def numbers(self, ids: list[str]) -> Ids:
        """Return the numbers of rows; raise `InputError` for one that the pool does not know."""
        keys = np.array([text_key(name) for name in ids], np.int64)
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        if len(unknown := np.flatnonzero(self._keys[places] != keys)):
            raise InputError(
                f"the training row {ids[int(unknown[0])]!r} is not in {self.folder}: rows and pool "
                f"are of different runs; run: {MINED_BY}"
            )
        return self._order[places]


@dataclass(frozen=True, slots=True)
class Overlay:
    """Puts a version's negatives in the place of those that rows have."""

    pool: Pool
    negatives: Negatives

    def __call__(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return rows with the version's negatives and no scores of the old ones."""
        numbers = self.pool.numbers([row["id"] for row in rows])
        ids = self.negatives.ids[numbers]
        wanted = np.unique(ids[ids >= 0])
        table = self.pool.passages.select(["id", "text"]).take(pa.array(wanted))
        passages = dict(zip(wanted.tolist(), table.to_pylist(), strict=True))
        mined = self.negatives.made[numbers] > 0
        return [
            _renewed(row, [passages[i] for i in own if i >= 0]) if is_new else row
            for row, own, is_new in zip(rows, ids.tolist(), mined.tolist(), strict=True)
        ]


def _renewed(row: dict[str, Any], negatives: list[dict[str, str]]) -> dict[str, Any]:
    return row | {
        "negatives": [passage["text"] for passage in negatives],
        "negative_ids": [passage["id"] for passage in negatives],
        "negative_scores": [],
        "negative_teacher_scores": None,
    }
