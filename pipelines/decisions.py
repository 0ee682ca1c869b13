"""Decisions on near duplicates: small tables by key, read back while parts are written."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from curation import clusters, runs, storage
from curation.runs import KEY, KeyRange, Keys
from pipelines.work import Workspace

# For each key of a cluster: the id of the document that is kept, the cluster's documents (exact
# copies too), and whether this key is the kept one's.
DECISION = pa.schema([("kept", pa.string()), ("size", pa.int32()), ("is_kept", pa.bool_())])
NO_DECISION = DECISION.append(pa.field(KEY, pa.uint64())).empty_table()


def save_decisions(
    workspace: Workspace, shard: int, shards: int, tables: Iterable[pa.Table]
) -> str:
    """Store the decisions (with key) of a shard of keys and return their path."""
    table = pa.concat_tables(tables)
    path = workspace.path("decisions", f"{shard:04d}-of-{shards:04d}{runs.SUFFIX}")
    runs.write_run(path, table.drop_columns([KEY]), table[KEY].to_numpy())
    return path


def load_decisions(workspace: Workspace, keys: Keys) -> pa.Table:
    """Return the decisions from the first to the last of sorted keys, sorted by key."""
    low, high = (int(keys[0]), int(keys[-1])) if len(keys) else (0, 0)
    paths = storage.list_files(workspace.path("decisions"), runs.SUFFIX)
    near = [path for path in paths if _overlaps(path.rsplit("/", 1)[-1], low, high)]
    return runs.read_range(near, KeyRange(0, low, high), DECISION)


def _overlaps(name: str, low: int, high: int) -> bool:
    shard, _, shards = name.removesuffix(runs.SUFFIX).partition("-of-")
    first, last = clusters.shard_range(int(shard), int(shards))
    return first <= high and low <= last
