"""The working folder of a stage: where its pieces lie and which of them are done.

Every element of work (a file, a part) leaves one small status file when it is finished. It
serves three ends: live progress (local Beam metrics come only at the end), the counts of the
report, and resuming: an element with a finished status is not done again. The folder's name
carries the stage's fingerprint, so that no piece outlives the input or config it came from.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from curation import storage

_SAVE_SECONDS = 1.0
_REMOTE_SECONDS = 30.0  # stores take one write a second of an object, and bill each


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths of one stage at one fingerprint; travels to the workers."""

    root: str

    def path(self, *parts: str) -> str:
        """Return a path inside the folder."""
        return storage.join(self.root, *parts)

    def status_path(self, step: str, element: str) -> str:
        """Return where an element's status lies."""
        return self.path("status", step, f"{element}.json")

    def finished(self, step: str, element: str) -> dict[str, Any] | None:
        """Return the status of a finished element, None for any other."""
        path = self.status_path(step, element)
        if not storage.exists(path):
            return None
        status: dict[str, Any] = storage.read_json(path)
        status["outputs"] = [self.path(name) for name in status["outputs"]]
        return status if status["done"] else None

    def statuses(self, step: str) -> list[dict[str, Any]]:
        """Return all statuses of a step, finished or not."""
        paths = storage.list_files(self.path("status", step), ".json")
        return [storage.read_json(path) for path in paths]

    def write_facts(self, step: str, element: str, facts: dict[str, Any]) -> None:
        """Store what an element tells the report: not in its status, which is read all the time."""
        storage.write_json(self.path("facts", step, f"{element}.json"), facts)

    def facts(self, step: str) -> Iterator[dict[str, Any]]:
        """Yield the facts of a step's elements one by one."""
        for path in storage.list_files(self.path("facts", step), ".json"):
            yield storage.read_json(path)


@dataclass(slots=True)
class Watch:
    """Reads the statuses of a workspace again and again: a finished one once only."""

    workspace: Workspace
    _finished: dict[str, dict[str, Any]] = field(default_factory=dict)
    _seen: dict[str, tuple[float, list[dict[str, Any]]]] = field(default_factory=dict)

    def statuses(self, step: str) -> list[dict[str, Any]]:
        """Return all statuses of a step; those in a store are up to 10 seconds old."""
        when, found = self._seen.get(step, (-1e9, []))
        age = 10.0 if storage.is_url(self.workspace.root) else 0.0
        if time.monotonic() - when >= age:
            paths = storage.list_files(self.workspace.path("status", step), ".json")
            found = [self._read(path) for path in paths]
            self._seen[step] = time.monotonic(), found
        return found

    def _read(self, path: str) -> dict[str, Any]:
        status = self._finished.get(path)
        if status is None:
            status = storage.read_json(path)
            if status["done"]:
                self._finished[path] = status
        return status


@dataclass(slots=True)
class Tally:
    """What happened to one element so far; `save` makes it visible to the progress line."""

    workspace: Workspace
    step: str
    element: str
    counts: Counter[str] = field(default_factory=Counter)
    _saved: float = 0.0

    def add(self, kind: str, *labels: str, count: int = 1) -> None:
        """Count under `kind` and its labels: a reject under its reason, source and language."""
        self.counts["|".join((kind, *labels))] += count

    def tick(self, share: float) -> None:
        """Save counts and share done, at most once a second, in a store every 30 seconds."""
        seconds = _REMOTE_SECONDS if storage.is_url(self.workspace.root) else _SAVE_SECONDS
        if time.monotonic() - self._saved > seconds:
            self._write(share, done=False, outputs=[], part=None)

    def finish(self, outputs: Iterable[str] = (), part: dict[str, Any] | None = None) -> None:
        """Mark the element as done, with the files it wrote and the output part, if any.

        Files of the workspace are named from its root, so that a folder that moved stays valid.
        """
        self._write(1.0, done=True, outputs=list(outputs), part=part)

    def _write(
        self, share: float, *, done: bool, outputs: list[str], part: dict[str, Any] | None
    ) -> None:
        status = {
            "element": self.element,
            "done": done,
            "share": share,
            "counts": dict(self.counts),
            "outputs": [path.removeprefix(self.workspace.root + "/") for path in outputs],
            "part": part,
        }
        storage.write_json(self.workspace.status_path(self.step, self.element), status)
        self._saved = time.monotonic()


def total_counts(statuses: Iterable[dict[str, Any]]) -> Counter[str]:
    """Return the sum of the counts of finished statuses."""
    total: Counter[str] = Counter()
    for status in statuses:
        if status["done"]:
            total.update(status["counts"])
    return total
