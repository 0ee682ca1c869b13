"""The append-only log of paid answers: nothing is asked twice.

A line is one answer, named by the hash of everything that decided it. The log outlives
stages and configs; a line cut short by a kill is passed over.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace

from curation.errors import InputError
from curation.synthesis.budget import Usage
from curation.synthesis.key_index import KeyIndex, digest

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
    """Unix time in seconds; 0 in lines of versions that did not tell."""
    endpoint: str = ""
    """Host and port of the endpoint."""
    cached_tokens: int = 0
    """Of the input tokens."""
    reasoning_tokens: int = 0
    """Of the output tokens."""
    attempts: int = 1
    """Requests sent for this answer."""
    steps: str = ""
    """What the endpoint refused and was left out or renamed, as `no_seed`."""
    follows: str = ""
    """The key of the answer that was cut short and that this one replaces."""


_FIELDS = tuple(field.name for field in fields(Response))


class ResponseLog:
    """The log in a local folder. Answers stay on disk: 24 bytes of memory a key.

    Reading needs no lock. `open` takes it for one writer; `append` is `kill -9` safe when it
    returns, `sync` makes what was appended survive a power cut.
    """

    def __init__(self, folder: str, file: str = FILE) -> None:
        os.makedirs(folder, exist_ok=True)
        self._path = os.path.join(folder, file)
        self._index = KeyIndex()
        self._end = 0
        self._file = -1
        self.usage: dict[str, Usage] = {}
        """What all answers of the log took, by endpoint."""
        self._scan()

    def __contains__(self, key: str) -> bool:
        return self._index.get(digest(key)) >= 0

    def open(self) -> None:
        """Lock the log for this process and read what others have appended since.

        Raises `InputError` where another run is writing.
        """
        if self._file >= 0:
            return
        file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(file)
            raise InputError(_lock_problem(self._path, error)) from None
        self._file = file
        self._scan()
        self._end = os.fstat(file).st_size
        if self._end and os.pread(file, 1, self._end - 1) != b"\n":
            self._write(b"\n")

    def append(self, response: Response) -> None:
        """Write an answer."""
        self.open()
        line = json.dumps(_fields_of(response), ensure_ascii=False).encode() + b"\n"
        start = self._end
        self._write(line)
        self._note(response, start)

    def sync(self) -> None:
        """Wait until the disk holds what was appended."""
        if self._file >= 0:
            os.fdatasync(self._file)

    def close(self) -> None:
        """Release the lock."""
        if self._file >= 0:
            self.sync()
            os.close(self._file)
            self._file = -1

    def is_settled(self, key: str) -> bool:
        """Tell whether a key needs no further request: answered, or cut short and followed."""
        number = self._index.get(digest(key))
        return number >= 0 and (not number & 1 or self._index.get(_followed(key)) >= 0)

    def get(self, key: str) -> Response | None:
        """Return the answer to exactly this key."""
        number = self._index.get(digest(key))
        return self._at(number >> 1) if number >= 0 else None

    def final(self, key: str) -> Response | None:
        """Return the answer to use for a key: what followed a truncated one, with both's cost."""
        first = self.get(key)
        number = self._index.get(_followed(key))
        if first is None or number < 0:
            return first
        longer = self._at(number >> 1)
        return replace(
            longer,
            key=key,
            input_tokens=first.input_tokens + longer.input_tokens,
            output_tokens=first.output_tokens + longer.output_tokens,
            cached_tokens=first.cached_tokens + longer.cached_tokens,
            reasoning_tokens=first.reasoning_tokens + longer.reasoning_tokens,
            attempts=first.attempts + longer.attempts,
        )

    def read(self, keys: Iterable[str]) -> Iterator[Response]:
        """Yield the final answers of those keys that have one, in the order of `keys`."""
        for key in keys:
            response = self.final(key)
            if response is not None:
                yield response

    def _at(self, offset: int) -> Response:
        with open(self._path, "rb") as handle:
            handle.seek(offset)
            return Response(**json.loads(handle.readline()))

    def _scan(self) -> None:
        """Index the lines from where the last scan ended."""
        if not os.path.exists(self._path):
            return
        with open(self._path, "rb") as handle:
            handle.seek(self._end)
            for line in handle:
                try:
                    self._note(Response(**json.loads(line)), self._end)
                except (ValueError, TypeError):  # cut short by a kill, or not ours
                    if not line.endswith(b"\n"):
                        return  # or another process is just writing it
                self._end += len(line)

    def _note(self, response: Response, offset: int) -> None:
        number = offset << 1 | (response.finish_reason == "length" and not response.follows)
        self._index.add(digest(response.key), number)
        if response.follows:
            self._index.add(_followed(response.follows), number)
        usage = self.usage.setdefault(response.endpoint, Usage())
        usage.add(
            response.input_tokens,
            response.cached_tokens,
            response.output_tokens,
            response.reasoning_tokens,
            0.0,
        )

    def _write(self, line: bytes) -> None:
        try:
            written = os.write(self._file, line)
            if written < len(line):
                raise OSError(f"{written} of {len(line)} bytes written")
        except OSError as error:
            raise InputError(
                f"cannot append to {self._path}: {error.strerror or error}; what it holds is kept"
            ) from error
        self._end += len(line)


def _fields_of(response: Response) -> dict[str, object]:
    """Return the fields of a line; the last seven are left out where they say nothing."""
    line: dict[str, object] = {name: getattr(response, name) for name in _FIELDS[:6]}
    for name in _FIELDS[6:]:
        if value := getattr(response, name):
            line[name] = value
    return line


def _followed(key: str) -> bytes:
    return digest(f"follows {key}")


def _lock_problem(path: str, error: OSError) -> str:
    if isinstance(error, BlockingIOError):
        return f"another run is writing {path}; wait for it to end, or set synthesis.responses"
    return f"{path} cannot be locked ({error.strerror}); set synthesis.responses to a local folder"
