"""What a run tells: a line of JSON for each step and evaluation, and TensorBoard's scalars."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from curation.errors import OutputError
from train.events import EventFile

DEAD_SHARE = 0.99
"""A sparse head that gives more texts than this no weight at all is dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """What happened in a step, over all processes."""

    phase: str
    step: int
    steps: int
    """The step's number in its phase, from 1, and the phase's steps."""
    share: float
    """How much of all phases is done (0..1)."""
    loss: float
    parts: dict[str, float]
    counts: dict[str, int]
    """queries, passages and what else the objective counts."""
    rows: int
    tokens: int
    cut: int
    """Texts that were longer than the limit."""
    batch_tokens: int
    """Tokens encoded at once."""
    seconds: float
    learning_rate: float
    gradient_norm: float

    @property
    def dead_share(self) -> float:
        """The share of the texts without any sparse weight; 0 where nobody counted them."""
        texts = self.counts.get("queries", 0) + self.counts.get("passages", 0)
        return self.counts.get("weightless", 0) / texts if texts else 0.0

    def values(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {name: getattr(self, name) for name in StepReport.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Retrieval on held-out queries after a step."""

    phase: str
    step: int
    scores: dict[str, dict[str, float]]
    """Of each way to retrieve the mean of each measure."""
    is_best: bool

    def values(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {name: getattr(self, name) for name in Judgement.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """Negatives mined anew came into use after a step."""

    phase: str
    step: int
    version: int
    mined_at: int
    """The step whose weights mined them; earlier than `step` where another process did."""
    seconds: float
    """How long it took to mine them."""
    facts: dict[str, Any]
    """Rows mined anew, and how the negatives drift."""
    held_out: dict[str, dict[str, float]]
    """Retrieval for held-out queries with the weights of the step; empty: no evaluations."""

    def values(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {name: getattr(self, name) for name in Refreshed.__slots__}


Line = StepReport | Judgement | Refreshed


class Log:
    """Writes lines behind those that the last checkpoint had."""

    def __init__(self, handle: io.FileIO | None, events: EventFile | None, step: int) -> None:
        self._handle = handle
        self._events = events
        self._step = step

    def write(self, line: Line) -> None:
        """Write a line; raise `OutputError` where there is no room."""
        if self._handle is None:
            return
        self._step += isinstance(line, StepReport)
        try:
            data = (json.dumps(line.values()) + "\n").encode()
            while data:
                data = data[self._handle.write(data) :]
            if self._events:
                self._events.add(self._step, _scalars(line))
        except OSError as error:
            raise OutputError(
                f"the log {self._handle.name!s} cannot be written ({error.strerror}); the last "
                "checkpoint is intact: make room and run again"
            ) from error

    def size(self) -> int:
        """Return how many bytes the log has, all of them on the disk."""
        if self._handle is None:
            return 0
        os.fsync(self._handle.fileno())
        return os.fstat(self._handle.fileno()).st_size


@contextmanager
def opened(path: str, length: int, events: str = "", step: int = 0) -> Iterator[Log]:
    """Open the log behind its first `length` bytes; no path: write nothing.

    `events` is the folder for TensorBoard, whose next step is `step` + 1.
    """
    if not path:
        yield Log(None, None, step)
        return
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with io.FileIO(path, "a") as handle:  # without a buffer whose rest fails again when closed
        if os.fstat(handle.fileno()).st_size > length:
            os.truncate(path, length)
        if not events:
            yield Log(handle, None, step)
            return
        with EventFile(events, step) as file:
            yield Log(handle, file, step)


def read(path: str) -> list[dict[str, Any]]:
    """Return the lines of a log; one that was cut short or damaged is left out."""
    lines = []
    with open(path, encoding="utf-8", errors="replace") as handle:
        for line in handle:
            with suppress(ValueError):
                lines.append(json.loads(line))
    return lines


def _scalars(line: Line) -> Mapping[str, float]:
    if isinstance(line, Judgement):
        return {
            f"held-out {measure}/{mode}": value
            for mode, measures in line.scores.items()
            for measure, value in measures.items()
        }
    if isinstance(line, Refreshed):
        numbers = {k: v for k, v in line.facts.items() if isinstance(v, int | float)}
        return {f"negatives/{name.replace('_', ' ')}": v for name, v in numbers.items()}
    return {
        "loss/total": line.loss,
        **{f"loss/{name}": value for name, value in line.parts.items()},
        "learning rate": line.learning_rate,
        "gradient norm": line.gradient_norm,
        "tokens per second": line.tokens / max(line.seconds, 1e-9),
        "texts without sparse weight": line.dead_share,
    }
