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
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mining.cache import model_facts
from mining.encode_parts import Encoded, PartEncoder
from mining.lists import Ids
from mining.miner import Scoring
from mining.pool import Pool
from mining.refresh import drift_of, due, padded
from mining.search import PoolSearch
from mining.stored_pool import load, mined
from mining.text_parts import ListedTexts
from pipelines.config import RunConfig
from pipelines.mining_rows import Result, negatives_of
from pipelines.mining_search import chosen_of, heads_of, lowest, rescorer, search_of
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
        rows = due(self.pool.queries.num_rows, self.config.ance.fraction, number, self._seed)
        pool = load(self.pool, rows)
        encoder = self._encoder(model, self._vectors(f"vectors-{phase}-{step}"))
        queries, passages = self._encoded(encoder, pool)
        if launch.rank() == 0:
            options = self.config.mining
            search = search_of(encoder, pool, queries, passages, options, lambda _: None)
            scoring = Scoring(search.dense_scores, rescorer(encoder, pool, options))
            result = chosen_of(pool, scoring, search, options)
            negatives, facts = self._renewed(rows, result, search, number)
            seconds = time.monotonic() - started
            version = Version(number=number, phase=phase, step=step, seconds=seconds, facts=facts)
            self.versions.write(version, negatives)
            shutil.rmtree(encoder.folder)
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

    def _encoded(self, encoder: PartEncoder, pool: Pool) -> tuple[Encoded, Encoded]:
        """Return the vectors of queries and passages; each process encodes its share."""
        size, heads = encoder.config.part_texts, heads_of(self.config.mining)
        return (
            encoder.encode(ListedTexts(pool.queries, size), is_query=True, heads=heads),
            encoder.encode(ListedTexts(pool.passages, size), is_query=False, heads=heads),
        )

    def _renewed(
        self, rows: Ids, result: Result, search: PoolSearch, number: int
    ) -> tuple[Negatives, dict[str, Any]]:
        """Return all rows' negatives with those of the due ones anew, and what changed."""
        config, before, pool = self.config.mining, self._negatives(number - 1), result.pool
        bounds = lowest(pool.positives, result.scores.positives)
        drift = drift_of(pool, search, bounds, result.mined, before.ids[rows], config)
        new = Negatives(ids=before.ids.copy(), made=before.made.copy())
        everyone, _ = negatives_of(result, np.arange(len(pool)))
        new.ids[rows] = padded(everyone, config.negatives)
        new.made[rows] = number
        return new, {"rows": len(rows), "passages": len(pool.passages), **asdict(drift)}

    def _negatives(self, number: int) -> Negatives:
        """Return a version's negatives; those of version 0 are as mined first."""
        if number:
            return self.versions.read(number)
        ids = padded(mined(self.pool), self.config.mining.negatives)
        return Negatives(ids=ids, made=np.zeros(len(ids), np.int32))
