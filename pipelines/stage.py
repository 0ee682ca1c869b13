"""One command's life: up to date or not, working folder, outputs, summary, what to run next."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from curation import manifest, storage
from pipelines.terminal import duration, say
from pipelines.work import Workspace

NEXT = {
    "curate": "make synth",
    "filter-pairs": "make synth",
    "synth": "make mine-negatives",
    "mine-negatives": "make train",
    "train": "make evaluate",
    "evaluate": "",
}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage with everything that its result depends on."""

    name: str
    out: str
    outputs: tuple[str, ...]
    """Folders under `out`, the records each holds being their name."""
    config: Mapping[str, Any]
    """The part of the configuration that the result depends on."""
    inputs: Sequence[Any]
    """Descriptions of input files, or content digests of input folders."""
    prefix: str = ""
    """Begins the working folder's name; empty: `.work-NAME-`."""
    started: float = field(default_factory=time.monotonic)

    @cached_property
    def fingerprint(self) -> str:
        """What identifies the result: config, inputs and versions."""
        return manifest.fingerprint(
            [self.name, self.config, list(self.inputs), manifest.versions()]
        )

    @property
    def workspace(self) -> Workspace:
        """The working folder, which outlives an interrupted run and is removed at the end."""
        return Workspace(storage.join(self.out, f"{self._prefix}{self.fingerprint}"))

    @property
    def _prefix(self) -> str:
        return self.prefix or f".work-{self.name}-"

    def directory(self, output: str) -> str:
        """Return the folder of an output."""
        return storage.join(self.out, output)

    def description(self, output: str) -> dict[str, Any]:
        """Return what the manifest of an output says besides its parts."""
        return {
            "stage": self.name,
            "records": output,
            "fingerprint": self.fingerprint,
            "config": self.config,
            "inputs": list(self.inputs),
        }

    def is_up_to_date(self) -> bool:
        """Tell whether all outputs are complete and fit; say so if they are."""
        fitting = all(
            manifest.is_complete(self.directory(output), self.fingerprint)
            for output in self.outputs
        )
        if fitting:
            rows = (f"{manifest.read(self.directory(o), '')['rows']:,} {o}" for o in self.outputs)
            say(f"{self.name}: up to date ({', '.join(rows)})")
            storage.remove(self.workspace.root)  # of a run that was stopped at the very end
        return fitting

    def begin(self) -> None:
        """Make the outputs ready, and drop what earlier runs left that is of no use to this one."""
        staging = tuple(f".{output}-" for output in self.outputs)
        if not storage.is_url(self.out):
            storage.make_dirs(self.out)
        for path in storage.list_folders(self.out):
            name = path.rstrip("/").rsplit("/", 1)[-1]
            is_stale = name.startswith(self._prefix) and not name.endswith(self.fingerprint)
            if is_stale or name.startswith(staging):
                storage.remove(path)
        storage.remove_unfinished(self.workspace.root)
        for directory in map(self.directory, self.outputs):
            storage.remove_unfinished(directory)
            if not manifest.is_complete(directory, self.fingerprint):  # else a killed run's work
                manifest.begin(directory, self.fingerprint)

    def finish(
        self, read: str, wrote: str, counts: Counter[str] | None = None, following: str = ""
    ) -> None:
        """Print the summary: what was read and written, rejects by reason, what to run next."""
        elapsed = duration(time.monotonic() - self.started)
        following = following or NEXT[self.name]
        hint = f"; next: {following}" if following else ""
        say(f"{self.name}: read {read}; wrote {wrote} to {self.out} in {elapsed}{hint}")
        rejects = reject_counts(counts or Counter())
        if rejects:
            listed = ", ".join(f"{reason} {n:,}" for reason, n in rejects.most_common())
            say(f"  rejected {sum(rejects.values()):,}: {listed}")
        storage.remove(self.workspace.root)


def reject_counts(counts: Mapping[str, int]) -> Counter[str]:
    """Return rejects by reason out of tally keys `rejects|reason|source|language`."""
    found: Counter[str] = Counter()
    for key, count in counts.items():
        kind, *labels = key.split("|")
        if kind == "rejects":
            found[labels[0]] += count
    return found


def label_counts(counts: Mapping[str, int], kind: str) -> Iterable[tuple[tuple[str, ...], int]]:
    """Return the labels and counts of one kind, sorted."""
    split = ((key.split("|"), count) for key, count in counts.items())
    return sorted((tuple(labels), count) for (found, *labels), count in split if found == kind)
