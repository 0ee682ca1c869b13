"""Values that lie in the working folder, once, instead of in the job's graph.

Dataflow takes a graph of at most 10 MB. Lists of files, configs with many sources and manifests
grow with the input, so the graph holds the path of a file and workers read it. The file is
pickled by Beam's pickler, like the graph itself, and as trusted: both are written by this program
at the start of a run, in a folder of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

import apache_beam as beam
import xxhash
from apache_beam.internal import pickler

from curation import storage
from pipelines.work import Workspace

T = TypeVar("T")
J = TypeVar("J", bound="StoredJob")


@dataclass(frozen=True)
class Stored(Generic[T]):
    """The path of a stored value; what travels to the workers."""

    path: str

    def load(self) -> T:
        """Return the value, read once per process."""
        value: T = _load(self.path)
        return value


def store(workspace: Workspace, name: str, value: T) -> Stored[T]:
    """Write a value into the working folder; equal names with other values do not meet."""
    data: bytes = pickler.dumps(value)
    path = workspace.path("graph", f"{name}-{xxhash.xxh3_64_hexdigest(data)}.pickle")
    storage.write_bytes(path, data)
    return Stored(path)


@lru_cache(maxsize=64)
def _load(path: str) -> Any:
    with storage.open_read(path) as handle:
        return pickler.loads(handle.read())


class StoredJob:
    """A dataclass with a `workspace` that is pickled as the path of its stored fields."""

    workspace: Workspace

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}  # type: ignore[attr-defined]
        return _load_job, (type(self), store(self.workspace, "job", fields))


def _load_job(kind: type[J], stored: Stored[dict[str, Any]]) -> J:
    return kind(**stored.load())


@dataclass
class Elements(beam.PTransform):  # type: ignore[misc]
    """Nothing → the values, one an element, spread over all workers."""

    values: Sequence[Any]
    workspace: Workspace

    def expand(self, pipeline: beam.Pipeline) -> Any:
        """Put the list into the working folder and read it in a worker."""
        stored = store(self.workspace, "elements", list(self.values))
        return (
            pipeline
            | "List" >> beam.Create([stored.path])
            | "Read" >> beam.FlatMap(_values)
            | "Spread" >> beam.Reshuffle()
        )


def _values(path: str) -> Iterable[Any]:
    stored: Stored[list[Any]] = Stored(path)
    return stored.load()
