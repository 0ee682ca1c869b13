"""A child process that answers one request at a time and is replaced when it hangs.

Parsers written in C can take minutes and gigabytes on a page of 200 KB, and nothing inside
their own process stops them. The child is bounded in CPU seconds per request by a timer that
ends it (waiting for a busy machine costs no request its answer), and in memory by the system.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import select
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import IO, Any

from curation.errors import ConfigError

_HEAD = struct.Struct("<BI")
_ANSWER, _FAILURE, _LEAVING = 0, 1, 2
_START_SECONDS = 120.0  # a cold import on a busy machine
_WALL_FACTOR = 30.0  # wall time allowed per CPU second: only a child that sleeps gets there
_MEMORY = 2 << 30  # address space beyond what the child has when it begins
_RETIRE = 1 << 30  # resident bytes at which a child is replaced: some parsers leak


class FailedRequestError(Exception):
    """A request that gave no answer; the argument is `timeout` or `failed`."""


class Sandbox:
    """Runs `python -m MODULE ARGUMENTS` as the child; use it in a `with` statement.

    A child that cannot start, for instance because an import fails, is a `ConfigError` when the
    sandbox is entered: it must never look like a failed request.
    """

    def __init__(self, module: str, *arguments: str, seconds: float = 10.0) -> None:
        self._command = [sys.executable, "-m", module, *arguments, str(seconds)]
        self._wall = seconds * _WALL_FACTOR
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Sandbox:
        self._start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop()

    def ask(self, request: bytes) -> bytes:
        """Return the child's answer; raise `FailedRequestError` when there is none."""
        child = self._child or self._start()
        try:
            _send(child.stdin, _ANSWER, request)
            kind, answer = _receive(child.stdout, self._wall)
        except (BrokenPipeError, EOFError):
            raise FailedRequestError(
                "timeout" if self._stop() == -signal.SIGPROF else "failed"
            ) from None
        except TimeoutError:
            self._stop()
            raise FailedRequestError("timeout") from None
        if kind == _LEAVING:
            self._stop()
        if kind == _FAILURE:
            raise FailedRequestError("failed")
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._child = subprocess.Popen(  # noqa: S603
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        _widen(self._child.stdin)
        try:
            kind, message = _receive(self._child.stdout, _START_SECONDS)
        except (EOFError, TimeoutError) as error:
            self._stop()
            raise ConfigError(f"{' '.join(self._command)} does not start: {error!r}") from None
        if kind == _FAILURE:
            self._stop()
            raise ConfigError(message.decode())
        return self._child

    def _stop(self) -> int:
        """End the child and return its exit status, negative for a signal."""
        child, self._child = self._child, None
        if child is None:
            return 0
        for pipe in (child.stdin, child.stdout):
            try:
                assert pipe is not None
                pipe.close()
            except BrokenPipeError:
                pass
        try:
            return child.wait(1.0)
        except subprocess.TimeoutExpired:
            child.kill()
            return child.wait()


def serve(prepare: Callable[[], Callable[[bytes], bytes]], seconds: float) -> None:
    """Be the child: answer requests from standard input until it ends.

    `prepare` loads what answering takes; a `ConfigError` or `ImportError` that it raises is
    reported to the parent. Whatever else the work prints goes to standard error.
    """
    requests, answers = os.fdopen(os.dup(0), "rb", 0), os.fdopen(os.dup(1), "wb", 0)
    os.dup2(2, 1)
    try:
        answer = prepare()
    except (ConfigError, ImportError) as error:
        _send(answers, _FAILURE, str(error).encode())
        return
    _limit_memory()
    _send(answers, _ANSWER, b"ready")
    while True:
        try:
            _, request = _receive(requests, None)
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_PROF, seconds)  # the signal's default action ends us
        try:
            kind, data = _ANSWER, answer(request)
        except Exception:
            kind, data = _FAILURE, b""
        signal.setitimer(signal.ITIMER_PROF, 0)
        if kind == _ANSWER and _memory_pages()[1] * resource.getpagesize() > _RETIRE:
            kind = _LEAVING
        _send(answers, kind, data)


def _memory_pages() -> tuple[int, int]:
    """Return the pages of address space and those resident now.

    Not the peak that `getrusage` tells: a child begins with its parent's, and one of a parent
    over the limit would be replaced after each request.
    """
    with open("/proc/self/statm") as handle:
        size, resident, *_ = map(int, handle.read().split())
    return size, resident


def _limit_memory() -> None:
    used = _memory_pages()[0] * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, hard))


def _send(pipe: IO[bytes] | None, kind: int, data: bytes) -> None:
    assert pipe is not None
    head, descriptor = _HEAD.pack(kind, len(data)), pipe.fileno()
    sent = os.writev(descriptor, (head, data)) - len(head)  # a pipe takes five bytes whole
    rest = memoryview(data)[sent:]
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _widen(pipe: IO[bytes] | None) -> None:
    """Let a pipe hold a megabyte: a page goes over in one switch of processes, not in six."""
    assert pipe is not None
    with contextlib.suppress(OSError):  # not allowed, or another system
        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, 1 << 20)


def _receive(pipe: IO[bytes] | None, seconds: float | None) -> tuple[int, bytes]:
    assert pipe is not None
    kind, length = _HEAD.unpack(_read(pipe.fileno(), _HEAD.size, seconds))
    return kind, _read(pipe.fileno(), length, seconds)


def _read(descriptor: int, length: int, seconds: float | None) -> bytes:
    """Read so many bytes; raise `EOFError` at an end before, `TimeoutError` after a silence."""
    pieces, left = [], length
    while left:
        if seconds is not None and not select.select([descriptor], [], [], seconds)[0]:
            raise TimeoutError(f"silent for {seconds:g} s")
        piece = os.read(descriptor, min(left, 1 << 20))
        if not piece:
            raise EOFError("the process ended")
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
