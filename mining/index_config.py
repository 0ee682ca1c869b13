"""How vectors are searched: the `[mining.index]` table."""

from __future__ import annotations

from dataclasses import dataclass

from curation.errors import check_range


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexConfig:
    """The `[mining.index]` table."""

    factory: str = "auto"
    """auto: exact up to `exact_pairs`, beyond that an index of few bits that fits `memory_mb`; or a
    FAISS factory string: Flat (exact), HNSW32, IVF4096,Flat, IVF4096,PQ48x4fs, PQ48x4fs …"""
    memory_mb: float = 2048.0
    """What index, vectors and search may take beside what the process holds already."""
    exact_pairs: float = 1e11
    """auto: search exactly as long as queries times passages are no more (30,000 x 30,000: 9e8)."""
    refine: int = 0
    """An approximate index proposes so many times the depth, which the stored vectors then order
    exactly; 0: as many as `min_recall` needs."""
    nprobe: int = 0
    """IVF: lists that are searched; 0: as many as `min_recall` needs."""
    ef_search: int = 0
    """HNSW: neighbours that are followed; 0: as many as `min_recall` needs."""
    min_recall: float = 0.97
    """What is left at 0 grows until an approximate index finds this share of the exact best 100 and
    of the ranks that are asked for; auto searches exactly where none does."""
    recall_queries: int = 200
    """Queries on which an approximate index is compared with exact search."""
    device: str = "auto"
    """Where exact search runs: auto (all GPUs where there are any, else the CPU), cpu, cuda …"""

    def __post_init__(self) -> None:
        check_range("mining.index.memory_mb", self.memory_mb, 64, 1e9)
        check_range("mining.index.exact_pairs", self.exact_pairs, 0, 1e18)
        check_range("mining.index.refine", self.refine, 0, 10_000)
        check_range("mining.index.nprobe", self.nprobe, 0, 1 << 24)
        check_range("mining.index.ef_search", self.ef_search, 0, 1 << 20)
        check_range("mining.index.min_recall", self.min_recall, 0.0, 1.0)
        check_range("mining.index.recall_queries", self.recall_queries, 1, 1_000_000)
