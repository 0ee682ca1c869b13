"""Which index a corpus gets, and how thoroughly it is searched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from mining.index_config import IndexConfig
from mining.index_faiss import Effort, piece_bytes
from mining.shards import Ids

EXACT = "Flat"
_FEW = 10_000  # passages that are not worth an index
_MOST_REFINE = 64
_LEAST_EFFORT, _MOST_EF = 16, 1024


@dataclass(frozen=True, slots=True)
class Choice:
    """A FAISS factory string and why it was taken."""

    factory: str
    why: str


def choose(config: IndexConfig, passages: int, width: int, queries: int) -> Choice:
    """Return the index that `mining.index.factory` names, or for auto the one that fits.

    Exact search streams the vectors, so it fits any memory and only its time counts. Beyond
    `exact_pairs` it is product quantisation with 4 bits for 4 numbers (48 bytes a vector of 384),
    in as many pieces as the memory asks for. Its codes are scanned whole: fewer bits, or the lists
    of an IVF, lose more of the depth that mining looks at than they save (benchmarks/mining.md).
    """
    if config.factory != "auto":
        return Choice(config.factory, "mining.index.factory")
    pairs = float(passages) * queries
    told = f"{queries:,} queries x {passages:,} passages = {pairs:.1e} pairs"
    if pairs <= config.exact_pairs or passages < _FEW:
        return Choice(EXACT, f"{told}: exact search, up to mining.index.exact_pairs")
    if width % 8:
        return Choice(EXACT, f"{told}: vectors of {width} numbers have no code, so exact search")
    codes, room = width // 8 * passages / (1 << 20), piece_bytes(config.memory_mb) / (1 << 20)
    return Choice(
        f"PQ{width // 4}x4fs",
        f"{told}, more than mining.index.exact_pairs = {config.exact_pairs:.0e}: {codes:,.0f} MB "
        f"of codes, {width // 8} bytes a vector, in pieces of {room:,.0f} MB for "
        f"mining.index.memory_mb = {config.memory_mb:g}",
    )


def efforts(config: IndexConfig, lists: int, *, graph: bool) -> Iterator[Effort]:
    """Yield what to try, each more thorough than the last: options that are given stay."""
    refine, probe, follow = 2, _LEAST_EFFORT, _LEAST_EFFORT
    while True:
        effort = Effort(
            config.refine or refine,
            (config.nprobe or min(probe, lists)) if lists else 0,
            (config.ef_search or follow) if graph else 0,
        )
        yield effort
        last = refine >= _MOST_REFINE and probe >= lists and (follow >= _MOST_EF or not graph)
        if last or effort == _given(config, lists, graph=graph):
            return
        refine = min(refine * 2, _MOST_REFINE)
        probe, follow = min(probe * 2, max(lists, 1)), min(follow * 2, _MOST_EF)


def _given(config: IndexConfig, lists: int, *, graph: bool) -> Effort | None:
    """Return the effort of the options where none is left open."""
    wanted = [config.refine, *([config.nprobe] if lists else [])]
    wanted += [config.ef_search] if graph else []
    if not all(wanted):
        return None
    return Effort(config.refine, config.nprobe if lists else 0, config.ef_search if graph else 0)


def thorough_enough(
    tried: Iterator[Effort], recall_of: Callable[[Effort], float], wanted: float
) -> tuple[Effort, float]:
    """Return the first effort whose recall is `wanted`, or the last one, with its recall."""
    for effort in tried:
        found = recall_of(effort)
        if found >= wanted:
            break
    return effort, found


def recall(found: Ids, exact: Ids, first: int = 0, last: int | None = None) -> float:
    """Return the share of the exact ranks first..last - 1 that is anywhere among those found.

    Both are (Q, k) numbers, best first; `found` is cut to `last` as well.
    """
    found, exact = found[:, :last], exact[:, first:last]
    if not exact.size:
        return 1.0
    hits = [np.isin(e, f).sum() for e, f in zip(exact, found, strict=True)]
    return float(np.sum(hits) / exact.size)
