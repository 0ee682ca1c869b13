"""Where requests go: one `[[synthesis.endpoints]]` table, with its limits and prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from curation.errors import ConfigError, check_range


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointConfig:
    """One `[[synthesis.endpoints]]` table: all of them serve the same model."""

    base_url: str
    """An OpenAI-compatible endpoint, as https://llm.example/v1."""
    model: str = ""
    """The endpoint's own name for synthesis.model; empty: the same name."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the key; never the key itself."""
    concurrency: int = 8
    """Most requests in flight; fewer while the endpoint is overloaded."""
    rpm: int = 0
    """Requests per minute, retries included; 0: no limit."""
    tpm: int = 0
    """Tokens per minute, input and output; 0: no limit."""
    input_price: float | None = None
    """USD per million input tokens; 0.0 for a free endpoint."""
    cached_input_price: float | None = None
    """USD per million input tokens that the endpoint had cached; unset: the input price."""
    output_price: float | None = None
    """USD per million output tokens, reasoning included."""

    def __post_init__(self) -> None:
        split_url(self.base_url)
        check_range("synthesis.endpoints.concurrency", self.concurrency, 1, 10_000)
        check_range("synthesis.endpoints.rpm", self.rpm, 0, 1e9)
        check_range("synthesis.endpoints.tpm", self.tpm, 0, 1e12)
        for name in ("input_price", "cached_input_price", "output_price"):
            check_range(f"synthesis.endpoints.{name}", getattr(self, name) or 0.0, 0.0, 1e6)

    @property
    def label(self) -> str:
        """Host and port: what logs and messages name the endpoint by."""
        return split_url(self.base_url).netloc

    @property
    def is_priced(self) -> bool:
        """Whether the cost of a request is known."""
        return self.input_price is not None and self.output_price is not None

    def cost(self, input_tokens: int, cached_tokens: int, output_tokens: int) -> float:
        """Return USD for a request; `cached_tokens` are among the `input_tokens`."""
        price = self.input_price or 0.0
        cached_price = price if self.cached_input_price is None else self.cached_input_price
        fresh = input_tokens - cached_tokens
        paid = fresh * price + cached_tokens * cached_price
        return (paid + output_tokens * (self.output_price or 0.0)) / 1e6


def split_url(url: str) -> SplitResult:
    """Return the parts of a base URL; raise `ConfigError` where it is none or holds a password."""
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        is_valid = False
    if not is_valid or not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError(f"synthesis.base_url = {url!r} is no URL as https://llm.example/v1")
    if "@" in parts.netloc:
        raise ConfigError(
            "synthesis.base_url holds a user or password; put the key into the environment "
            "variable that synthesis.api_key_env names"
        )
    return parts


def key_of(endpoint: EndpointConfig, environment: Mapping[str, str]) -> str:
    """Return an endpoint's key; `none` where the environment holds none.

    Raises `ConfigError` for a key that no header can carry, and never shows it.
    """
    key = environment.get(endpoint.api_key_env, "").strip() or "none"  # a file's ends in a newline
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(
            f"the key in {endpoint.api_key_env} holds characters that no key has; copy it again"
        )
    return key
