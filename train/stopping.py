"""Being asked to stop: the step in hand is finished and saved first."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any


class Stopped(Exception):  # noqa: N818 - no error: the run goes on where it stopped
    """The run was asked to stop and has saved its state; the message says where."""


class StopRequest:
    """Notes SIGTERM and SIGINT inside its block; a second SIGINT ends the process at once.

    Use it in the main thread: only there Python lets signals be handled.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        """Tell whether a signal has come."""
        return self._asked

    def __enter__(self) -> StopRequest:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self._asked = True
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
