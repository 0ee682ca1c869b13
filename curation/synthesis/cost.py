"""What answers cost, at the prices that the config names today."""

from __future__ import annotations

from collections.abc import Iterable

from curation.synthesis.config import SynthesisConfig
from curation.synthesis.responses import Response


def usd(answers: Iterable[Response], config: SynthesisConfig) -> float | None:
    """Return the dollars of answers, None where no endpoint of the config has prices.

    An answer of an endpoint that is not, or no longer, in the config counts as nothing.
    """
    prices = {e.label: e for e in config.all_endpoints() if e.is_priced}
    if not prices:
        return None
    return sum(
        prices[a.endpoint].cost(a.input_tokens, a.cached_tokens, a.output_tokens)
        for a in answers
        if a.endpoint in prices
    )
