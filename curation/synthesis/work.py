"""What is left to ask: new requests from an iterator, and those to be asked again."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from curation.synthesis.follow_up import follow_up
from curation.synthesis.key_index import digest
from curation.synthesis.requests import Request
from curation.synthesis.responses import ResponseLog

_CHARACTERS_PER_TOKEN = 3  # bytes of UTF-8: above what tokenizers make of English and of Chinese
_OVERHEAD_TOKENS = 16  # of a chat's frame


@dataclass(slots=True)
class Item:
    """A request with what became of it so far."""

    request: Request
    input_tokens: int
    output_tokens: int
    failed: int = 0
    """Attempts that count against `max_attempts`."""
    sent: int = 0

    @classmethod
    def of(cls, request: Request) -> Item:
        """Return a request with an estimate of its tokens from its characters."""
        body = request.body
        texts = [str(body["prompt"])] if "prompt" in body else _contents(body["messages"])
        size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
        cap = body.get("max_tokens") or body.get("max_completion_tokens") or 0
        return cls(request, size // _CHARACTERS_PER_TOKEN + _OVERHEAD_TOKENS, int(cap))


def _contents(messages: list[dict[str, object]]) -> list[str]:
    return [str(message["content"]) for message in messages]


class Work:
    """Requests in order; those to be asked again come first, when their time has come."""

    def __init__(self, requests: Iterable[Request]) -> None:
        self._new = iter(requests)
        self._is_read = False
        self._again: list[tuple[float, int, Item]] = []
        self._order = itertools.count()
        self.in_flight = 0

    def take(self, now: float) -> Item | None:
        """Return the next request; None where there is none now."""
        if self._again and self._again[0][0] <= now:
            item = heapq.heappop(self._again)[2]
        else:
            request = None if self._is_read else next(self._new, None)
            if request is None:
                self._is_read = True
                return None
            item = Item.of(request)
        self.in_flight += 1
        return item

    def put_back(self, item: Item, at: float) -> None:
        """Ask a request that was taken (again) from a time on."""
        self.in_flight -= 1
        heapq.heappush(self._again, (at, next(self._order), item))

    def add(self, request: Request, now: float) -> None:
        """Ask one more."""
        heapq.heappush(self._again, (now, next(self._order), Item.of(request)))

    def settled(self) -> None:
        """Let go of a request that was taken and is done with."""
        self.in_flight -= 1

    def wait(self, now: float) -> float:
        """Return the seconds until there is something to take, as far as is known."""
        return max(0.0, self._again[0][0] - now) if self._again else math.inf

    @property
    def is_done(self) -> bool:
        """Whether nothing is left and nothing is in flight."""
        return self._is_read and not self._again and not self.in_flight


class Missing:
    """Each request once that a log does not answer, and the follow-ups that it lacks.

    Memory holds what is in flight and what failed.
    """

    def __init__(self, log: ResponseLog, requests: Iterable[Request]) -> None:
        self._log = log
        self._requests = requests
        self._asked: set[bytes] = set()
        self.known = 0
        """Requests passed over so far because the log answers them."""

    def __iter__(self) -> Iterator[Request]:
        for request in self._requests:
            if digest(request.key) in self._asked:
                continue
            missing = self._missing(request)
            if missing:
                self._asked.add(digest(request.key))
                yield missing
            else:
                self.known += 1

    def answered(self, request: Request) -> None:
        """Forget a request: the log knows it now."""
        self._asked.discard(digest(request.follows or request.key))

    def _missing(self, request: Request) -> Request | None:
        if self._log.is_settled(request.key):
            return None
        answer = self._log.get(request.key)
        return follow_up(request, answer) if answer else request
