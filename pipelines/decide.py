"""From stored columns of extracted documents to the decisions that need the whole corpus.

Documents that pass their thresholds send thin keys; what comes back are small tables per shard:
older versions of a page, titles that too many pages share, pairs beyond a host's cap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curation import caps, dedup, filters, runs
from curation.config import CurationConfig
from curation.filters import Decider
from curation.runs import KEY, Run
from pipelines.merges import id_hash, save_array
from pipelines.stored import Stored
from pipelines.work import Workspace

SHARDS = 64
_COLUMNS = ("id", "source", "title", "date", *filters.COLUMNS, KEY)

Array = npt.NDArray[np.void]
Keyed = tuple[int, Array]


class ThinKeys(beam.DoFn):  # type: ignore[misc]
    """`Run` of documents → (shard, `dedup.THIN_KEY` rows); tagged `titles`: `caps.TITLE_KEY` rows.

    Of documents that pass their thresholds only. Reads their columns, never their text.
    """

    def __init__(self, config: Stored[CurationConfig]) -> None:
        self._stored = config

    def setup(self) -> None:
        """Load the thresholds."""
        self._config = self._stored.load()
        self._decider = Decider(self._config)

    def process(self, run: Run) -> Iterator[Any]:
        """Decide on the documents of a run."""
        table = runs.read_columns(run.path, _COLUMNS)
        table = table.filter(pa.array(self._decider.decide(table).kept))
        if not table.num_rows:
            return
        rows = version_keys(table)
        yield from by_shard(rows, "id")
        if self._config.pairs.max_title_frequency:
            for keyed in by_shard(title_keys(table, rows), "title"):
                yield beam.pvalue.TaggedOutput("titles", keyed)


def version_keys(table: pa.Table) -> Array:
    """Return the `dedup.THIN_KEY` rows of documents; an unknown date counts as 0."""
    lengths = table["quality"].combine_chunks().field("characters")
    rows = np.empty(table.num_rows, dedup.THIN_KEY)
    rows["id"] = [id_hash(identity) for identity in table["id"].to_pylist()]
    rows["key"] = table[KEY].to_numpy()
    rows["date"] = [_day(date) for date in table["date"].to_pylist()]
    rows["length"] = lengths.to_numpy(zero_copy_only=False)
    return rows


def _day(date: str) -> int:
    digits = date.replace("-", "")
    return int(digits) if len(digits) == 8 and digits.isdecimal() else 0


def title_keys(table: pa.Table, versions: Array) -> Array:
    """Return the `caps.TITLE_KEY` rows of documents; those without a title have none."""
    rows = np.empty(table.num_rows, caps.TITLE_KEY)
    titles = table["title"].to_pylist()
    pairs = zip(table["source"].to_pylist(), titles, strict=True)
    rows["title"] = [caps.title_hash(source, title) for source, title in pairs]
    rows["text"], rows["id"] = versions["key"], versions["id"]
    titled: Array = rows[np.array([bool(title) for title in titles], np.bool_)]
    return titled


def by_shard(rows: Array, name: str) -> Iterator[Keyed]:
    """Yield (shard, rows) so that rows with an equal field `name` meet in one shard."""
    shards = rows[name] % np.uint64(SHARDS)
    for shard in np.unique(shards):
        yield int(shard), rows[shards == shard]


def read_hosts(run: Run) -> Iterator[Keyed]:
    """Yield (shard, `caps.HOST_KEY` rows) of a run of the pairs' hosts."""
    table = runs.read_columns(run.path, list(caps.HOST_KEY.names or ()))
    rows = np.empty(table.num_rows, caps.HOST_KEY)
    for name in table.column_names:
        rows[name] = table[name].to_numpy()
    yield from by_shard(rows, "host")


class StoreShards(beam.PTransform):  # type: ignore[misc]
    """(shard, rows) → paths of stored decisions, one file a shard."""

    def __init__(
        self, name: str, workspace: Workspace, decision: Callable[[Array], npt.NDArray[Any]]
    ) -> None:
        super().__init__()
        self._name = name
        self._workspace = workspace
        self._decision = decision

    def expand(self, keyed: beam.PCollection) -> Any:
        """Gather a shard's rows, decide, store."""
        store = beam.Map(_store, self._name, self._workspace, self._decision)
        return keyed | "Meet" >> beam.GroupByKey() | "Store" >> store


def _store(
    element: tuple[int, Iterable[Array]],
    name: str,
    workspace: Workspace,
    decision: Callable[[Array], npt.NDArray[Any]],
) -> str:
    shard, blobs = element
    path = workspace.path(name, f"shard-{shard:02d}.npy")
    save_array(path, decision(np.concatenate(list(blobs))))
    return path
