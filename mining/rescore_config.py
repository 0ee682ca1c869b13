"""How candidates are scored a second time: the `[mining.rescore]` table."""

from __future__ import annotations

from dataclasses import dataclass

from curation.errors import ConfigError, check_range, unknown_name

BY = ("none", "hybrid", "cross-encoder")


@dataclass(frozen=True, kw_only=True, slots=True)
class RescoreConfig:
    """The `[mining.rescore]` table."""

    by: str = "none"
    """none: the dense score decides; hybrid: weighted dense + sparse + multi-vector scores of the
    model; cross-encoder: a transformers sequence-classification folder. The scores become the
    rows' teacher scores."""
    cross_encoder: str = ""
    """Its folder, or a hub name; with one output the score is that logit, with two the second
    less the first."""
    weights: tuple[float, float, float] = (1.0, 0.3, 1.0)
    """hybrid: weights of the dense, sparse and multi-vector scores (paper: MIRACL)."""
    depth: int = 50
    """So many of a query's best candidates that no filter removed are scored."""
    max_tokens: int = 512
    """cross-encoder: query and passage are cut to this together."""

    def __post_init__(self) -> None:
        if self.by not in BY:
            raise ConfigError(unknown_name("mining.rescore.by", self.by, BY))
        if (self.by == "cross-encoder") != bool(self.cross_encoder):
            raise ConfigError(
                "mining.rescore.cross_encoder goes with mining.rescore.by = 'cross-encoder', "
                "and only with it"
            )
        check_range("mining.rescore.depth", self.depth, 1, 100_000)
        check_range("mining.rescore.max_tokens", self.max_tokens, 8, 1 << 20)
        for weight in self.weights:
            check_range("mining.rescore.weights", weight, 0.0, 1e6)
