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
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mining.cache import model_facts
from mining.encode_parts import PartEncoder
from mining.index import DenseIndex
from mining.negatives import choose
from mining.refresh import drift_of, due, with_labelled, without
from mining.shards import Ids, Shards
from mining.stored_pool import Texts, load, mined
from mining.text_parts import ListedTexts
from pipelines.commands.mine import candidates_of
from pipelines.config import RunConfig
from train import fresh, launch
from train.fresh import Negatives, Version, Versions
from train.model import M3Model
from train.precision import resolve_precision


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
        folder = self._vectors(f"vectors-{phase}-{step}")
        encoder, size = self._encoder(model, folder), self.config.mining.encode.part_texts
        vectors = {
            name: encoder.encode(ListedTexts(texts, size), is_query=name == "queries").dense
            for name, texts in (("passages", Texts(self.pool.passages)), ("queries", queries))
        }
        if launch.rank() == 0:
            negatives, facts = self._chosen(rows, vectors, number, folder)
            seconds = time.monotonic() - started
            version = Version(number=number, phase=phase, step=step, seconds=seconds, facts=facts)
            self.versions.write(version, negatives)
            shutil.rmtree(folder)
        launch.meet()
        return number

    def _vectors(self, name: str) -> str:
        """Return the folder of a refresh's vectors; those of other weights go."""
        if launch.rank() == 0:
            for path in Path(self.work).glob("vectors-*"):
                if path.name != name:
                    shutil.rmtree(path)
        launch.meet()
        return os.path.join(self.work, name)

    @property
    def _seed(self) -> int:
        return self.config.mining.seed

    def _encoder(self, model: M3Model, folder: str) -> PartEncoder:
        """Return the encoder where the model is: the trainer's device.

        No probe decides on the precision: a run that goes on must choose as before.
        """
        encode = self.config.mining.encode
        dtype = encode.dtype
        if dtype == "auto":
            dtype = resolve_precision(self.config.train.precision, model.device)
        return PartEncoder(model, encode, dtype, folder, lambda _: None, model_facts(model))

    def _chosen(
        self, rows: Ids, vectors: Mapping[str, Shards], number: int, folder: str
    ) -> tuple[Negatives, dict[str, Any]]:
        """Search and choose for the due rows; return all rows' negatives, and what changed."""
        pool, config = load(self.pool, rows), self.config.mining
        index = DenseIndex.build(
            vectors["passages"],
            config.index,
            queries=vectors["queries"],
            depth=config.depth,
            first=config.first_rank,
            folder=os.path.join(folder, "index"),
        )
        scores, ids = index.search(vectors["queries"], config.depth)
        found = candidates_of(pool, dict(vectors), ids, scores)
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
