"""The working folder of a stage: where its pieces lie and which of them are done.

Every element of work (a file, a part) leaves one small status file when it is finished. It
serves three ends: live progress (local Beam metrics come only at the end), the counts of the
report, and resuming: an element with a finished status is not done again. The folder's name
carries the stage's fingerprint, so that no piece outlives the input or config it came from.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from curation import storage

_SAVE_SECONDS = 1.0


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
        """Save the counts with the share of the element that is done, at most once a second."""
        if time.monotonic() - self._saved > _SAVE_SECONDS:
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
