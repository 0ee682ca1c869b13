"""FAISS indexes of a corpus in pieces, each of which fits in memory: built once, kept on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from curation.errors import ConfigError
from mining.index_exact import working_bytes
from mining.shards import Shards, Vectors
from mining.top import Found, partial_top

_PROBE = 4096  # vectors that tell how many bytes one takes
_GROWTH = 4  # while it is built an index takes up to so many times its size: FAISS doubles arrays
_BLOCK = 4096
_MOST_GPU = 2048  # candidates of a query that FAISS's GPU indexes give


@dataclass(frozen=True, slots=True)
class Effort:
    """How thoroughly an approximate index is searched."""

    refine: int = 1
    """Candidates per passage that is wanted."""
    nprobe: int = 0
    """IVF lists searched; 0: the index has none."""
    ef_search: int = 0
    """HNSW neighbours followed; 0: the index has none."""

    def __str__(self) -> str:
        named = {"refine": self.refine, "nprobe": self.nprobe, "ef_search": self.ef_search}
        return ", ".join(f"{name} {value}" for name, value in named.items() if value)


@dataclass(slots=True)
class Pieces:
    """The FAISS files of a corpus, piece by piece."""

    files: list[str]
    starts: list[int]
    """Number of each piece's first vector."""
    memory_mb: float
    use_gpus: bool = False
    _kept: dict[str, Any] = field(default_factory=dict)

    def propose(self, queries: Vectors, wanted: int, effort: Effort) -> Found:
        """Return up to `wanted` candidates of each query in no order; -1 where there are fewer."""
        lists: list[Found] = []
        if self.use_gpus:
            wanted = min(wanted, _MOST_GPU)
        for index, start in self._indexes():
            _set(index, effort)
            scores, numbers = index.search(queries, wanted)
            lists.append((scores, np.where(numbers < 0, numbers, numbers + start)))
            lists = [partial_top(lists, wanted)]
        return lists[0]

    def _indexes(self) -> Iterator[tuple[Any, int]]:
        """Yield each piece: all stay open where they fit in half of the memory."""
        import faiss

        keeps = sum(Path(file).stat().st_size for file in self.files) <= self.memory_mb * (1 << 19)
        for file, start in zip(self.files, self.starts, strict=True):
            index = self._kept.get(file)
            if index is None:
                index = faiss.read_index(file, faiss.IO_FLAG_MMAP_IFC)
                index = _on_gpus(index) if self.use_gpus else index
            if keeps:
                self._kept[file] = index
            yield index, start


def build_pieces(
    vectors: Shards, factory: str, folder: str, memory_mb: float, *, use_gpus: bool = False
) -> Pieces:
    """Train an index once and fill as many of its kind as the memory asks for.

    Raises `ConfigError` for a factory string that FAISS does not take.
    """
    import faiss

    trained = _trained(vectors, factory, memory_mb)
    rows = max(_PROBE, int(piece_bytes(memory_mb) / vector_bytes(trained, vectors)))
    empty = faiss.serialize_index(trained)
    files, starts = [], list(range(0, len(vectors), rows))
    Path(folder).mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(starts):
        index = faiss.deserialize_index(empty)
        for first in range(start, min(start + rows, len(vectors)), _BLOCK):
            index.add(vectors.block(first, min(first + _BLOCK, start + rows)))
        files.append(str(Path(folder) / f"piece-{number:05d}.faiss"))
        faiss.write_index(index, files[-1])
    return Pieces(files, starts, memory_mb, use_gpus)


def _trained(vectors: Shards, factory: str, memory_mb: float) -> Any:
    import faiss

    try:
        index = faiss.index_factory(vectors.width, factory, faiss.METRIC_INNER_PRODUCT)
        lists = lists_of(index)
        room = int(working_bytes(memory_mb) / 4 / (vectors.width * 8))  # FAISS copies it
        count = min(len(vectors), room, max(65_536, 64 * lists))
        # an even draw: a corpus is often sorted, by language say
        index.train(vectors.take(np.linspace(0, len(vectors) - 1, count).astype(np.int64)))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0].rpartition(": ")[2]
        raise ConfigError(
            f"mining.index.factory = {factory!r} does not work for {len(vectors):,} vectors of "
            f"{vectors.width} numbers ({reason}); valid: auto, Flat, HNSW32, IVF1024,Flat, "
            "PQ48x4fs and others of FAISS's index factory"
        ) from error
    return index


def piece_bytes(memory_mb: float) -> float:
    """Return how large a piece may be: while it is built it takes several times its size."""
    return working_bytes(memory_mb) / _GROWTH


def vector_bytes(trained: Any, vectors: Shards) -> float:
    """Return the bytes that a vector takes in an index, tried on some."""
    import faiss

    empty = faiss.serialize_index(trained)
    tried = faiss.deserialize_index(empty)
    some = vectors.block(0, _PROBE)
    tried.add(some)
    return max(1.0, (len(faiss.serialize_index(tried)) - len(empty)) / max(1, len(some)))


def lists_of(index: Any) -> int:
    """Return the number of an index's IVF lists, 0 where it has none."""
    import faiss

    ivf = faiss.try_extract_index_ivf(index)
    return int(ivf.nlist) if ivf is not None else 0


def is_graph(index: Any) -> bool:
    """Tell whether an index is an HNSW graph."""
    import faiss

    inner = faiss.downcast_index(index)
    while isinstance(inner, (faiss.IndexPreTransform, faiss.IndexIDMap)):
        inner = faiss.downcast_index(inner.index)
    return isinstance(inner, faiss.IndexHNSW)


def _set(index: Any, effort: Effort) -> None:
    import faiss

    space = faiss.ParameterSpace()
    if effort.nprobe:
        space.set_index_parameter(index, "nprobe", effort.nprobe)
    if effort.ef_search:
        space.set_index_parameter(index, "efSearch", effort.ef_search)


def _on_gpus(index: Any) -> Any:
    """Return the index spread over all GPUs, where this FAISS has any."""
    import faiss

    options = faiss.GpuMultipleClonerOptions()
    options.shard, options.useFloat16 = True, True
    try:
        return faiss.index_cpu_to_all_gpus(index, options)
    except RuntimeError as error:
        raise ConfigError(
            f"mining.index: FAISS cannot put this index on its GPUs ({str(error).strip()}); set "
            "mining.index.device = 'cpu' or another mining.index.factory"
        ) from error
