"""Answer logs of several writers in one folder, taken over into the log that all others read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

from curation import storage
from curation.synthesis.responses import Response, ResponseLog

_PREFIX, _SUFFIX = "responses-", ".jsonl"


def shard_file(shard: int) -> str:
    """Return the name of the log that one of several workers appends to."""
    return f"{_PREFIX}{shard:05d}{_SUFFIX}"


def shard_paths(folder: str) -> list[str]:
    """Return the logs of workers in a folder of answers."""
    paths = storage.list_files(folder, _SUFFIX)
    return [path for path in paths if os.path.basename(path).startswith(_PREFIX)]


def read_answers(path: str) -> Iterator[Response]:
    """Yield the answers of a log; lines cut short by a kill are passed over."""
    with open(path, "rb") as handle:
        for line in handle:
            try:
                yield Response(**json.loads(line))
            except (ValueError, TypeError):
                continue


def open_log(folder: str) -> ResponseLog:
    """Return the log of a folder with all that workers have left beside it.

    The workers' logs stay: one that a runner gave up may still be writing to its own.
    """
    log = ResponseLog(folder)
    try:
        for path in shard_paths(folder):
            for response in read_answers(path):
                if response.key not in log:
                    log.append(response)
    finally:
        log.close()
    return log
