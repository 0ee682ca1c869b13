"""Negatives mined anew with the weights of the moment, as one version after the other (ANCE).

encode    parts of the passages and the due queries, spread over the processes; a part that is
          there is not encoded again, so a killed refresh goes on
search    and choose as `make mine-negatives` does, in the first process
publish   arrays of passage numbers; the rows that were not due keep what they have
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mining import index
from mining.encode import encode_dense
from mining.index import Ids
from mining.negatives import choose
from mining.refresh import drift_of, due, with_labelled, without
from mining.stored_pool import Texts, load, mined
from pipelines.commands.mine import candidates_of
from pipelines.config import RunConfig
from pipelines.merges import load_array, save_array
from train import fresh, launch
from train.fresh import Negatives, Version, Versions
from train.model import M3Model
from train.precision import resolve_precision

Vectors = Any

_PART = 16_384  # texts of a part: 25 MB of vectors with 384 numbers each


@dataclass(frozen=True)
class Miner:
    """Mines versions of the negatives of a pool."""

    config: RunConfig
    folder: str
    """OUT/pool."""
    work: str
    """Where versions and, while one is made, vectors lie."""

    @property
    def versions(self) -> Versions:
        """Return the folder of versions."""
        return Versions(os.path.join(self.work, "versions"))

    @cached_property
    def pool(self) -> fresh.Pool:
        """Return the pool, opened when it is first needed."""
        return fresh.Pool(self.folder)

    def mine(self, model: M3Model, phase: int, step: int, last: int) -> int:
        """Make the version after `last` with a model; return its number. All processes call it."""
        number, started = last + 1, time.monotonic()
        rows = due(len(self.pool.queries), self.config.ance.fraction, number, self._seed)
        queries = self.pool.queries.take(rows, ["query"])["query"].to_pylist()
        texts = {"passages": Texts(self.pool.passages), "queries": queries}
        folder = self._vectors(f"vectors-{phase}-{step}-{number}")
        for name, listed in texts.items():
            self._encode(model, folder, name, listed)
        launch.meet()
        if launch.rank() == 0:
            vectors = {name: _joined(folder, name, len(listed)) for name, listed in texts.items()}
            negatives, facts = self._chosen(rows, vectors, number)
            seconds = time.monotonic() - started
            version = Version(number=number, phase=phase, step=step, seconds=seconds, facts=facts)
            self.versions.write(version, negatives)
            shutil.rmtree(folder)
        launch.meet()
        return number

    def _vectors(self, name: str) -> str:
        """Return the folder of a refresh's vectors; those of killed ones with other weights go."""
        if launch.rank() == 0:
            for path in Path(self.work).glob("vectors-*"):
                if path.name != name:
                    shutil.rmtree(path)
        launch.meet()
        return os.path.join(self.work, name)

    @property
    def _seed(self) -> int:
        return self.config.mining.seed

    def _encode(self, model: M3Model, folder: str, name: str, texts: Sequence[str]) -> None:
        """Encode the parts of this process that are not there yet."""
        mining = self.config.mining
        dtype = mining.dtype
        if dtype == "auto":  # no probe: a run that goes on must choose as before
            dtype = resolve_precision(self.config.train.precision, model.device)
        missing = [part for part in _parts(folder, name, len(texts)) if not os.path.exists(part[0])]
        shared = self.config.train.shard and launch.world_size() > 1  # all must encode together
        every, first = (1, 0) if shared else (launch.world_size(), launch.rank())
        for path, start, end in launch.first_says(missing)[first::every]:
            vectors = encode_dense(
                model,
                texts[start:end],
                is_query=name == "queries",
                budget=mining.batch_tokens,
                dtype=dtype,
            )
            if not shared or launch.rank() == 0:
                save_array(path, vectors)

    def _chosen(
        self, rows: Ids, vectors: dict[str, Vectors], number: int
    ) -> tuple[Negatives, dict[str, Any]]:
        """Search and choose for the due rows; return all rows' negatives, and what changed."""
        pool, config = load(self.pool, rows), self.config.mining
        scores, ids = index.search(vectors["queries"], vectors["passages"], config.depth)
        found = candidates_of(pool, vectors, ids, scores)
        chosen = choose(found, config)
        before = self._negatives(number - 1)
        old = without(before.ids[rows], pool.negatives)
        drift = drift_of(found, chosen, old, vectors, config)
        new = Negatives(ids=before.ids.copy(), made=before.made.copy())
        new.ids[rows] = with_labelled(pool.negatives, chosen.ids)
        new.made[rows] = number
        return new, {"rows": len(rows), "passages": len(pool.passages), **asdict(drift)}

    def _negatives(self, number: int) -> Negatives:
        """Return a version's negatives; those of version 0 are as mined first."""
        wide = self.config.mining.negatives
        if number:
            return self.versions.read(number)
        ids = mined(self.pool)[:, :wide]
        padded = np.pad(ids, ((0, 0), (0, wide - ids.shape[1])), constant_values=-1)
        return Negatives(ids=padded, made=np.zeros(len(ids), np.int32))


def _parts(folder: str, name: str, count: int) -> Iterator[tuple[str, int, int]]:
    """Yield (path, first, end) of the parts of so many texts."""
    for start in range(0, count, _PART):
        path = os.path.join(folder, f"{name}-{start // _PART:05d}.npy")
        yield path, start, min(count, start + _PART)


def _joined(folder: str, name: str, count: int) -> Vectors:
    return np.concatenate([load_array(path) for path, _, _ in _parts(folder, name, count)])
