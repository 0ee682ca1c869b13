"""One sending of a request: to whom, at what price, and what came of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from curation.synthesis.budget import Reservation
from curation.synthesis.connections import UnreachableError
from curation.synthesis.http1 import BrokenReplyError
from curation.synthesis.replies import Answer, Problem, Trouble, read_reply
from curation.synthesis.server import Server
from curation.synthesis.work import Item


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sending of a request."""

    server: Server
    item: Item
    reserved: Reservation
    steps: tuple[str, ...]
    """What the server was known not to take."""
    body: dict[str, Any]
    sent_at: float

    async def outcome(self, timeout: float) -> Answer | Problem:
        """Send it; `timeout` bounds the time from the connection to the last byte."""
        try:
            async with asyncio.timeout(timeout):
                reply = await self.server.pool.post(self.item.request.kind, self.body)
        except TimeoutError:
            return Problem(Trouble.LOST, "timed out")
        except UnreachableError as error:
            return Problem(Trouble.UNREACHABLE, str(error))
        except (BrokenReplyError, OSError) as error:
            return Problem(Trouble.LOST, str(error) or type(error).__name__)
        return read_reply(reply, self.body, datetime.now(UTC))

    def bill(self, outcome: Answer | Problem) -> tuple[int, float]:
        """Return the tokens and USD that count against the caps.

        Where the server does not tell, or the answer got lost, that is what was reserved.
        """
        tokens = outcome.tokens
        used = tokens.input + tokens.output
        is_lost = isinstance(outcome, Problem) and outcome.trouble is Trouble.LOST
        if is_lost or (isinstance(outcome, Answer) and not used):
            return self.reserved.tokens, self.reserved.usd
        return used, self.cost(outcome)

    def cost(self, outcome: Answer | Problem) -> float:
        """Return the USD that the server says it took."""
        tokens = outcome.tokens
        return self.server.config.cost(tokens.input, tokens.cached, tokens.output)
