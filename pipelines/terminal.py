"""What a person sees while a command runs: progress lines, results, tables."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TextIO

_LOG_SECONDS = 10.0  # between progress lines where the output is no terminal
_DRAW_SECONDS = 0.2


# Names out of data and messages of servers must not steer the terminal.
_UNPRINTABLE = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)], "\ufffd")


def say(text: str, stream: TextIO | None = None) -> None:
    """Print a line of result; progress goes to standard error, results to standard output."""
    print(printable(text), file=stream or sys.stdout, flush=True)


def printable(text: str) -> str:
    """Return text without characters that steer a terminal."""
    return text.translate(_UNPRINTABLE)


def duration(seconds: float) -> str:
    """Return seconds as `0:07`, `12:34` or `1:02:03`."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{secs:02d}" if hours else f"{minutes}:{secs:02d}"


@dataclass(slots=True)
class State:
    """Where a step stands: a share of all work (0..1), items so far and a free remark."""

    share: float = 0.0
    items: float = 0.0
    remark: str = ""


class Progress:
    """A live line with share done, rate and ETA for one step; use it as a context manager.

    Either call `update`, or pass `poll`, which is asked for the state. On a terminal the line is
    redrawn; in a log a line comes every ten seconds.
    """

    def __init__(
        self,
        label: str,
        unit: str,
        poll: Callable[[], State] | None = None,
        stream: TextIO | None = None,
    ) -> None:
        self._label = label
        self._unit = unit
        self._poll = poll
        self._state = State()
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._started = time.monotonic()
        self._first: State | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def __enter__(self) -> Progress:
        if self._poll:
            self._first = self._poll()  # what an earlier attempt did is not this one's rate
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._draw(final=True)

    def update(self, share: float, items: float, remark: str = "") -> None:
        """Tell the share of the work done (0..1), the items so far and an optional remark."""
        self._state = State(share, items, remark)
        if self._first is None:
            self._first = State(share)  # where an earlier attempt stopped; items are our own

    def _loop(self) -> None:
        wait = _DRAW_SECONDS if self._live else _LOG_SECONDS
        while not self._stop.wait(wait):
            self._draw(final=False)

    def _draw(self, *, final: bool) -> None:
        state = self._poll() if self._poll else self._state
        line = self.line(state, time.monotonic() - self._started)
        if not self._live:
            say(line, self._stream)
            return
        width = shutil.get_terminal_size().columns - 1
        self._stream.write("\r" + line[:width].ljust(width) + ("\n" if final else ""))
        self._stream.flush()

    def line(self, state: State, elapsed: float) -> str:
        """Return the progress line for a state after `elapsed` seconds."""
        first = self._first or State()
        rate = (state.items - first.items) / elapsed if elapsed > 0 else 0.0
        done = state.share - first.share
        eta = elapsed * (1 - state.share) / done if done > 0 else None
        timing = f"ETA {duration(eta)}" if eta is not None and state.share < 1 else ""
        parts = (
            f"{self._label:<12} {state.share:4.0%}",
            f"{state.items:,.0f} {self._unit}",
            f"{rate:,.1f}/s" if rate < 100 else f"{rate:,.0f}/s",
            timing or duration(elapsed),
            state.remark,
        )
        return "  ".join(part for part in parts if part)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned text columns: the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first = cells[0].ljust(widths[0])
        rest = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
        return "  ".join((first, *rest)).rstrip()

    return "\n".join((line(header), "  ".join("-" * w for w in widths), *map(line, rows)))
