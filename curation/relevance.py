"""Which pairs are consistent: the `[relevance]` table, and the decision on a rank.

A pair is kept if its positive is among the `top_k` best for its query in a random pool of other
positives (E5, arXiv 2212.03533: top 2 among 1M, about 1.3B → 270M pairs). Ranks need an encoder
and are computed elsewhere; here is only what follows from them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curation.errors import ConfigError, check_range, unknown_name
from curation.records import RELATIONS

REASON = "inconsistent_pair"

_INDEX = ("relation", "language", "source")


@dataclass(frozen=True, kw_only=True, slots=True)
class RelevanceConfig:
    """The `[relevance]` table."""

    enabled: bool = False
    """Whether later stages read the pairs that `make filter-pairs` keeps, or all pairs."""
    top_k: int = 2
    """A pair is kept if its positive ranks so high or higher for its query (E5: 2)."""
    pool: int = 1_000_000
    """Positives a rank is taken among, at most, per index (E5: 1M)."""
    index: tuple[str, ...] = ("relation", "language")
    """A positive competes with those that have these columns in common; []: with all. Passages of
    its own document never compete with it."""
    relations: tuple[str, ...] = ("title-body", "title-abstract", "section", "parallel")
    """The relations to filter; pairs of others are kept as they are."""
    batch_tokens: int = 4096
    """Tokens per encoding batch, padding included."""
    block_rows: int = 16_384
    """Vectors of the pool that are compared at a time: bounds the memory of scores."""
    dtype: str = "auto"
    """auto: bf16 where a probe shows it faster and exact enough; else fp32 or bf16."""
    seed: int = 0
    """Decides which positives are the pool, where there are more than fit."""

    def __post_init__(self) -> None:
        check_range("relevance.top_k", self.top_k, 1, 1_000_000)
        check_range("relevance.pool", self.pool, 2, 1e9)
        check_range("relevance.batch_tokens", self.batch_tokens, 16, 1 << 24)
        check_range("relevance.block_rows", self.block_rows, 1, 1 << 24)
        check_range("relevance.seed", self.seed, 0, 1 << 32)
        if not self.relations:
            raise ConfigError("relevance.relations = [] filters nothing; set enabled = false")
        for relation in self.relations:
            if relation not in RELATIONS:
                raise ConfigError(unknown_name("relevance.relations", relation, RELATIONS))
        for column in self.index:
            if column not in _INDEX:
                raise ConfigError(unknown_name("relevance.index", column, _INDEX))
        if self.dtype not in ("auto", "fp32", "bf16"):
            raise ConfigError(unknown_name("relevance.dtype", self.dtype, ("auto", "fp32", "bf16")))


def is_consistent(ranks: npt.NDArray[np.int32], top_k: int) -> npt.NDArray[np.bool_]:
    """Tell which pairs to keep by the rank of their positive, 1 being the best; 0 is unranked."""
    return ranks <= top_k
