"""How negatives are mined: the `[mining]` table."""

from __future__ import annotations

from dataclasses import dataclass, field

from curation.errors import ConfigError, check_range, unknown_name
from curation.records import RELATIONS
from mining.encode_config import EncodeConfig
from mining.index_config import IndexConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class MiningConfig:
    """The `[mining]` table."""

    relations: tuple[str, ...] = ("question-document", "labelled")
    """Relations of pairs, questions and labelled rows to turn into training rows."""
    limits: dict[str, int] = field(default_factory=dict)
    """At most so many rows of a relation and language: limits = {title-body = 1000}."""
    negatives: int = 7
    """Negatives per query (paper: 7); labelled ones come first, mined ones fill up."""
    depth: int = 200
    """Candidates searched per query; where too few survive, a row has fewer negatives."""
    first_rank: int = 0
    """Skip this many of the best surviving candidates."""
    max_positive_ratio: float = 0.95
    """A candidate must score below this share of the positive's score (NV-Retriever: 0.95)."""
    sampling: str = "top"
    """top: the best survivors; random: drawn from all that survive within `depth`."""
    encode: EncodeConfig = field(default_factory=EncodeConfig)
    """How texts become vectors."""
    index: IndexConfig = field(default_factory=IndexConfig)
    """How vectors are searched."""
    seed: int = 0
    """Decides random sampling."""
    part_mb: float = 64.0
    """Uncompressed size of a training shard in MB."""

    def __post_init__(self) -> None:
        for option in ("relations", "limits"):
            for relation in getattr(self, option):
                if relation not in RELATIONS:
                    raise ConfigError(unknown_name(f"mining.{option}", relation, RELATIONS))
        for relation, limit in self.limits.items():
            check_range(f"mining.limits.{relation}", limit, 0, 1e12)
        check_range("mining.negatives", self.negatives, 0, 1000)
        check_range("mining.depth", self.depth, 1, 100_000)
        check_range("mining.first_rank", self.first_rank, 0, 100_000)
        check_range("mining.max_positive_ratio", self.max_positive_ratio, 0.0, 10.0)
        check_range("mining.seed", self.seed, 0, 1 << 32)
        check_range("mining.part_mb", self.part_mb, 0.01, 4096)
        if self.sampling not in ("top", "random"):
            raise ConfigError(unknown_name("mining.sampling", self.sampling, ("top", "random")))
