"""A table as one batch of an Arrow file: mapped, so that rows are read in place by number."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from curation import storage
from curation.errors import InputError


def write(path: str, table: pa.Table) -> dict[str, Any]:
    """Write a table with one row at least; return name, rows, bytes and sha256, as of a part.

    Text is not compressed: a row is read without the thousands beside it. Raises
    `pa.ArrowInvalid` for a column of more than 2 GB that is no large_string.
    """
    (batch,) = table.combine_chunks().to_batches()
    with storage.open_write(path) as handle:
        sink = storage.HashingWriter(handle)
        with pa.ipc.new_file(pa.PythonFile(sink, "w"), table.schema) as writer:
            writer.write_batch(batch)
    name = path.rsplit("/", 1)[-1]
    return {"name": name, "rows": batch.num_rows, "bytes": sink.size, "sha256": sink.digest()}


def mapped(path: str, made_by: str) -> pa.RecordBatch:
    """Return the rows of a local file; `InputError` names the command that makes it anew."""
    try:
        return pa.ipc.open_file(pa.memory_map(storage.local_path(path))).get_batch(0)
    except (OSError, ValueError, IndexError, pa.ArrowException) as error:
        raise InputError(f"{path} is missing or damaged ({error}); run: {made_by}") from error
