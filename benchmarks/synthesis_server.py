"""A scripted OpenAI-compatible server that costs little: answers after a latency, and a tally.

`python -m benchmarks.synthesis_server PORT [LATENCY [TRUNCATED GARBAGE REFUSED [PROMPT]]]`: shares
of replies. Truncated are draws of each request; with PROMPT = 1 always the same prompts, whose
answers need twice the usual cap. A GET returns how many requests came and what was billed.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import zlib
from collections import Counter

GIVEN, MADE, CUT = 300, 20, 64
"""Tokens of a prompt, of a whole answer, and of one that runs into the cap."""


def http(body: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def completion(text: str, reason: str, made: int) -> bytes:
    message = {"role": "assistant", "content": text}
    return json.dumps(
        {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "choices": [{"index": 0, "finish_reason": reason, "message": message}],
            "usage": {
                "prompt_tokens": GIVEN,
                "completion_tokens": made,
                "total_tokens": GIVEN + made,
            },
        }
    ).encode()


WHOLE = http(completion("Which company built the lighthouse of Dunwick in 1834?", "stop", MADE))
TRUNCATED = http(completion("Which company that was founded in the", "length", CUT))
GARBAGE = http(b'{"id": "x", "choices": [{"message": {"role": "assi')
REFUSED = http(
    b'{"error": {"message": "slow down", "code": "rate_limit"}}', "429 Too Many Requests"
)


class Shares:
    """Which reply comes next, and the tally."""

    def __init__(self, truncated: float, garbage: float, refused: float, by_prompt: bool) -> None:
        self._shares = (truncated, garbage, refused)
        self._by_prompt = by_prompt
        self._draw = random.Random(0)
        self.tally: Counter[str] = Counter()

    def reply(self, request: bytes) -> bytes:
        truncated, garbage, refused = self._shares
        if self._by_prompt:
            start = request.find(b'"content"')
            is_long = zlib.crc32(request[start : start + 30]) < truncated * 2**32
            truncated = float(is_long and b'"max_tokens": 128' not in request)
            truncated *= 1 - refused
        luck = self._draw.random() if any(self._shares) else 1.0
        self.tally["requests"] += 1
        if luck < refused:
            return REFUSED
        self.tally["input_tokens"] += GIVEN
        is_cut = luck < refused + truncated
        self.tally["output_tokens"] += CUT if is_cut else MADE
        if is_cut:
            return TRUNCATED
        return GARBAGE if luck < refused + truncated + garbage else WHOLE


class Connection(asyncio.Protocol):
    """One client; a request is answered when its content is there."""

    def __init__(self, shares: Shares, latency: float) -> None:
        self._shares = shares
        self._latency = latency
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        held = self._held + data if self._held else data
        end = held.find(b"\r\n\r\n")
        if end < 0:
            self._held = held
            return
        head = held[:end].lower()
        if head.startswith(b"get"):
            self._held = b""
            self._transport.write(http(json.dumps(self._shares.tally).encode()))
            return
        length = int(head.partition(b"content-length:")[2].partition(b"\r")[0])
        if len(held) < end + 4 + length:
            self._held = held
            return
        self._held = b""
        loop = asyncio.get_running_loop()
        loop.call_later(self._latency, self._transport.write, self._shares.reply(held))


async def serve(port: int, latency: float, shares: Shares) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(shares, latency), "127.0.0.1", port, backlog=2048
    )
    await server.serve_forever()


if __name__ == "__main__":
    port, *rest = sys.argv[1:]
    given = [*map(float, rest), *[0.05, 0, 0, 0, 0][len(rest) :]]
    latency, truncated, garbage, refused, by_prompt = given
    asyncio.run(serve(int(port), latency, Shares(truncated, garbage, refused, bool(by_prompt))))
