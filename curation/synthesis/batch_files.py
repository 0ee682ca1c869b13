"""Request files of batches: JSON lines that hosted Batch APIs and `vllm run-batch` both take."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import IO

from curation import storage
from curation.errors import ConfigError, InputError
from curation.synthesis.batch_config import BatchConfig
from curation.synthesis.requests import PATHS, Request

_LINE_BREAKS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


@dataclass(slots=True)
class RequestFile:
    """A written file: all its requests go to one interface of one model."""

    name: str
    url: str
    """As /v1/chat/completions."""
    model: str
    requests: int = 0
    bytes: int = 0


def request_line(request: Request) -> bytes:
    """Return the line of a request.

    Letters stay letters (a third of the bytes of escapes in most scripts), but for the three
    that some programs take for the end of a line.
    """
    row = {
        "custom_id": request.key,
        "method": "POST",
        "url": PATHS[request.kind],
        "body": request.body,
    }
    return json.dumps(row, ensure_ascii=False).translate(_LINE_BREAKS).encode() + b"\n"


def write_files(
    requests: Iterable[Request], folder: str, config: BatchConfig, first: int = 0
) -> list[RequestFile]:
    """Write `requests-NNNNN.jsonl` from number `first` on; return them in that order.

    Requests are streamed: one line is held at a time. Each file appears whole or not at all.
    """
    numbers = count(first)
    written: list[RequestFile] = []
    current: dict[tuple[str, str], _OpenFile] = {}
    with ExitStack() as stack:
        for request in requests:
            line = request_line(request)
            group = PATHS[request.kind], str(request.body["model"])
            open_file = current.get(group)
            if open_file is None or not open_file.has_room(line, config):
                if open_file:
                    open_file.publish()
                open_file = current[group] = _OpenFile(folder, next(numbers), group, stack)
                written.append(open_file.facts)
            open_file.add(line, config)
        for open_file in current.values():
            open_file.publish()
    return written


@dataclass(slots=True)
class _OpenFile:
    """A file that is being written; an error on `stack` discards it."""

    folder: str
    number: int
    group: tuple[str, str]
    stack: ExitStack
    facts: RequestFile = field(init=False)
    _closing: ExitStack = field(init=False)
    _handle: IO[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.facts = RequestFile(f"requests-{self.number:05d}.jsonl", *self.group)
        self._closing = self.stack.enter_context(ExitStack())
        path = storage.join(self.folder, self.facts.name)
        self._handle = self._closing.enter_context(storage.open_write(path))

    def has_room(self, line: bytes, config: BatchConfig) -> bool:
        """Tell whether the line fits in."""
        return (
            self.facts.requests < config.max_requests_per_file
            and self.facts.bytes + len(line) <= config.max_bytes
        )

    def add(self, line: bytes, config: BatchConfig) -> None:
        """Write a line; raise `ConfigError` for one that no file can hold."""
        if len(line) > config.max_bytes:
            raise ConfigError(
                f"a request takes {len(line):,} bytes and a file at most "
                f"{config.max_bytes:,}; raise synthesis.batch.max_file_megabytes"
            )
        self._handle.write(line)
        self.facts.requests += 1
        self.facts.bytes += len(line)

    def publish(self) -> None:
        """Give the file its name."""
        self._closing.close()


def read_keys(path: str) -> Iterator[str]:
    """Yield the keys of the requests in a file."""
    if not storage.exists(path):
        raise InputError(
            f"{path} is missing: it says which requests were sent; put it back, or remove the "
            "folder to give up the answers of its batches"
        )
    with storage.open_read(path) as handle:
        for line in handle:
            yield str(json.loads(line)["custom_id"])
