"""The append-only log of paid answers: nothing is asked twice.

A line is one answer, named by the hash of everything that decided it. The log outlives
stages and configs; a line cut short by a kill is passed over.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import IO

FILE = "responses.jsonl"


@dataclass(frozen=True, slots=True)
class Response:
    """An answer with what it cost."""

    key: str
    content: str
    finish_reason: str
    model: str
    input_tokens: int
    output_tokens: int
    created_at: int = 0
    """When, in seconds since 1970 by the server's clock; 0 where it does not say."""


class ResponseLog:
    """The log in a local folder; `append` is durable when it returns."""

    def __init__(self, folder: str) -> None:
        os.makedirs(folder, exist_ok=True)
        self._path = os.path.join(folder, FILE)
        self.known = {response.key: response for response in self._read()}
        self._handle: IO[bytes] | None = None

    def append(self, response: Response) -> None:
        """Write an answer and remember it."""
        if self._handle is None:
            self._handle = open(self._path, "ab")  # noqa: SIM115 - closed by close()
            if self._handle.tell() and not self._ends_with_newline():
                self._handle.write(b"\n")
        line = json.dumps(asdict(response), ensure_ascii=False)
        self._handle.write(line.encode() + b"\n")
        self._handle.flush()
        self.known[response.key] = response

    def close(self) -> None:
        """Close the file."""
        if self._handle:
            self._handle.close()
            self._handle = None

    def _read(self) -> Iterator[Response]:
        if not os.path.exists(self._path):
            return
        with open(self._path, "rb") as handle:
            for line in handle:
                try:
                    yield Response(**json.loads(line))
                except (ValueError, TypeError):
                    continue

    def _ends_with_newline(self) -> bool:
        with open(self._path, "rb") as handle:
            handle.seek(-1, os.SEEK_END)
            return handle.read(1) == b"\n"
