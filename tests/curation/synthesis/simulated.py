"""Simulated time and a simulated server: an hour of requests in a second or two."""

import asyncio
import json
import selectors
from collections.abc import Callable
from typing import Any

from curation.synthesis.http1 import Reply
from tests.llm_server import Reply as Scripted
from tests.llm_server import completion


class _Selector(selectors.DefaultSelector):
    """Waits by moving the loop's clock instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(None if timeout is None else 0)
        if timeout and timeout > 0 and not events:
            self.now += timeout
        return events


class SimulatedLoop(asyncio.SelectorEventLoop):
    """A loop in which nothing takes time but sleeping, and sleeping takes none."""

    def __init__(self) -> None:
        self._simulated = _Selector()
        super().__init__(self._simulated)

    def time(self) -> float:
        return self._simulated.now


Script = Callable[[dict[str, Any]], Scripted]


class SimulatedPool:
    """Answers by a script after a latency; `sent` holds when what was sent."""

    def __init__(self, script: Script, latency: float = 1.0) -> None:
        self.script = script
        self.latency = latency
        self.sent: list[tuple[float, dict[str, Any]]] = []
        self.most_in_flight = 0
        self._in_flight = 0

    async def post(self, kind: str, body: dict[str, Any]) -> Reply:
        self.sent.append((asyncio.get_running_loop().time(), body))
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        scripted = self.script(body)
        try:
            await asyncio.sleep(self.latency + scripted.delay)
        finally:
            self._in_flight -= 1
        if scripted.drop:
            raise ConnectionResetError("dropped")
        data = scripted.raw
        if data is None:
            data = json.dumps(completion(body, scripted)).encode()
        headers = {name.lower(): value for name, value in scripted.headers.items()}
        return Reply(scripted.status, headers, data, keep_alive=True)

    async def close(self) -> None:
        pass
