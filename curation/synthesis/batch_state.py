"""What is known of submitted batches: one small file, written before and after each step."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from curation import storage
from curation.errors import InputError
from curation.synthesis.batch_files import RequestFile, read_keys

FILE = "state.json"
FINAL = ("completed", "failed", "expired", "cancelled")


@dataclass(slots=True)
class Batch:
    """A request file on its way: written, uploaded, submitted, final, collected."""

    file: str
    url: str
    model: str
    requests: int
    base_url: str
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Names upload and batch at the service, so that both are found again after a kill."""
    input_file_id: str = ""
    batch_id: str = ""
    status: str = "written"
    completed: int = 0
    failed: int = 0
    output_file_id: str = ""
    error_file_id: str = ""
    errors: list[str] = field(default_factory=list)
    """Why the service refused the whole file."""
    collected: bool = False


@dataclass(slots=True)
class BatchFolder:
    """The folder of request files, downloads and the state of the batches."""

    path: str
    batches: list[Batch] = field(default_factory=list)

    @classmethod
    def load(cls, path: str) -> BatchFolder:
        """Read the state of a folder; an empty or missing folder has no batches."""
        state = storage.join(path, FILE)
        if not storage.exists(state):
            return cls(path)
        try:
            rows = storage.read_json(state)["batches"]
            return cls(path, [_batch(row) for row in rows])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{state} is no state of batches ({error}); put the file back that this program "
                "wrote: without it, requests on their way would be paid again"
            ) from None

    def save(self) -> None:
        """Write the state atomically."""
        rows = [asdict(batch) for batch in self.batches]
        storage.write_json(self.file(FILE), {"batches": rows})

    def file(self, name: str) -> str:
        """Return the path of a file in the folder."""
        return storage.join(self.path, name)

    def add(self, files: list[RequestFile], base_url: str) -> None:
        """Record written files: from now on they will be submitted, and only once."""
        for file in files:
            batch = Batch(file.name, file.url, file.model, file.requests, base_url)
            self.batches.append(batch)
        self.save()

    def remove_unrecorded(self) -> None:
        """Remove request files of a run that ended before it recorded them."""
        recorded = {batch.file for batch in self.batches}
        for path in storage.list_files(self.path, ".jsonl"):
            name = path.rsplit("/", 1)[-1]
            if name.startswith("requests-") and name not in recorded:
                storage.remove(path)

    def keys_on_their_way(self) -> set[str]:
        """Return the keys whose answers are still to be collected."""
        waiting = [batch for batch in self.batches if not batch.collected]
        return {key for batch in waiting for key in read_keys(self.file(batch.file))}


def _batch(row: dict[str, Any]) -> Batch:
    known = {f.name for f in fields(Batch)}
    return Batch(**{name: value for name, value in row.items() if name in known})
