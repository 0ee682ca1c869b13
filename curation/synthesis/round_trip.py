"""The round trip: a question must find the paragraph it was asked about among others.

Ranks need an encoder and are computed elsewhere; here is what follows from them. Promptagator
keeps rank 1, AIR-Bench and Gecko look further down; 20 is lenient (reference: synthesis).
"""

from __future__ import annotations

from dataclasses import dataclass

from curation.errors import ConfigError, check_range, unknown_name

REASON = "not_retrieved"

_SCOPES = ("language", "all")
_DTYPES = ("auto", "fp32", "bf16")


@dataclass(frozen=True, kw_only=True, slots=True)
class RoundTripConfig:
    """The `[synthesis.round_trip]` table."""

    enabled: bool = True
    """Rank each question's own paragraph among others with the encoder of `model`."""
    top_k: int = 20
    """A question is kept if its paragraph ranks so high or higher; 1 is strict, 20 lenient, 0
    only measures."""
    pool: int = 1000
    """Paragraphs of further documents, per language, besides those that are asked about."""
    scope: str = "language"
    """language: a paragraph competes with those of its language; all: with those of all."""
    batch_tokens: int = 4096
    """Tokens per encoding batch, padding included."""
    dtype: str = "auto"
    """auto: bf16 where a probe shows it faster and exact enough; else fp32 or bf16."""

    def __post_init__(self) -> None:
        check_range("synthesis.round_trip.top_k", self.top_k, 0, 1_000_000)
        check_range("synthesis.round_trip.pool", self.pool, 0, 1e7)
        check_range("synthesis.round_trip.batch_tokens", self.batch_tokens, 16, 1 << 24)
        if self.scope not in _SCOPES:
            raise ConfigError(unknown_name("synthesis.round_trip.scope", self.scope, _SCOPES))
        if self.dtype not in _DTYPES:
            raise ConfigError(unknown_name("synthesis.round_trip.dtype", self.dtype, _DTYPES))


def decide(rank: int | None, config: RoundTripConfig) -> tuple[str, str] | None:
    """Return (reason, value) for a question whose paragraph ranks too low, else None.

    `rank` counts from 1; None is a question that was not ranked.
    """
    if not config.top_k or rank is None or rank <= config.top_k:
        return None
    return REASON, f"rank {rank} > {config.top_k}"
