"""What a batch may cost: all of it is counted before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from curation.errors import BudgetError
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.endpoints import EndpointConfig
from curation.synthesis.requests import Request
from curation.synthesis.work import Item

PRICE_SHARE = 0.5  # of the online price, what hosted services take for a batch


@dataclass(slots=True)
class BatchEstimate:
    """What the requests seen so far may take at most.

    Input tokens are estimated from the characters, output tokens by the cap of each request.
    """

    config: SynthesisConfig
    endpoint: EndpointConfig
    requests: int = 0
    tokens: int = 0
    usd: float = 0.0

    def counted(self, requests: Iterable[Request]) -> Iterator[Request]:
        """Yield the requests; raise `BudgetError` at the first that passes a cap."""
        for request in requests:
            item = Item.of(request)
            cost = self.endpoint.cost(item.input_tokens, 0, item.output_tokens)
            self.requests += 1
            self.tokens += item.input_tokens + item.output_tokens
            self.usd += PRICE_SHARE * cost
            self._check()
            yield request

    def _check(self) -> None:
        config = self.config
        caps = {
            "max_requests": (config.max_requests, self.requests),
            "max_tokens": (config.max_tokens, self.tokens),
            "max_usd": (config.max_usd, self.usd),
        }
        for name, (cap, wanted) in caps.items():
            if cap and wanted > cap:
                raise BudgetError(
                    f"the batch may take more than synthesis.{name} = {cap:,}, at half the online "
                    "price; nothing was submitted: raise the cap or draw fewer documents"
                )
