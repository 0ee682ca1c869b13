"""A worker's part of the limits of a run, and what is left of it when it is tried again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from curation.errors import BudgetError, ConfigError
from curation.synthesis.budget import Usage
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.endpoints import EndpointConfig

_LIMITS = ("concurrency", "rpm", "tpm")
_CAPS = ("max_requests", "max_tokens", "max_usd")


def share_of(config: SynthesisConfig, shard: int) -> SynthesisConfig:
    """Return the config with a shard's part of limits and caps; the parts sum up to the whole.

    Raises `ConfigError` for a limit too small to be divided: 0 would mean no limit.
    """
    shards = config.ask_on_workers
    endpoints = tuple(
        replace(endpoint, **_parts(endpoint, _LIMITS, shard, shards))
        for endpoint in config.endpoints
    )
    own = _parts(config, (*_LIMITS, *_CAPS), shard, shards)
    return replace(config, endpoints=endpoints, **own)


def _parts(
    table: SynthesisConfig | EndpointConfig, names: tuple[str, ...], shard: int, shards: int
) -> dict[str, Any]:
    return {name: _part(name, getattr(table, name), shard, shards) for name in names}


def _part(name: str, whole: int | float, shard: int, shards: int) -> int | float:
    if isinstance(whole, float):
        return whole / shards
    if 0 < whole < shards:
        raise ConfigError(
            f"synthesis.{name} = {whole} cannot be shared by synthesis.ask_on_workers = {shards}: "
            "each worker needs at least 1; lower ask_on_workers"
        )
    return whole // shards + (shard < whole % shards)


def left_of(config: SynthesisConfig, used: Usage) -> SynthesisConfig:
    """Return a shard's config with its caps less what an earlier attempt has used.

    Raises `BudgetError` where nothing is left.
    """
    spent = {"max_requests": used.requests, "max_tokens": used.tokens, "max_usd": used.usd}
    rest: dict[str, Any] = {}
    for name, taken in spent.items():
        if cap := getattr(config, name):
            rest[name] = cap - taken
            if rest[name] <= 0:
                raise BudgetError(f"a worker's share of synthesis.{name} is spent ({cap:,})")
    return replace(config, **rest)
