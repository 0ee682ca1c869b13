"""Submitting, watching and fetching batches of a hosted Batch API, each file exactly once.

A file is recorded with a token before anything is sent. The upload bears the token as its name,
the batch as metadata: after a kill between sending and recording, both are found by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import openai
from openai.types import Batch as HostedBatch

from curation import storage
from curation.errors import ServiceError
from curation.synthesis.batch_state import Batch, BatchFolder
from curation.synthesis.endpoints import EndpointConfig

_TOKEN = "threefold"  # the metadata's key  # noqa: S105
_RETRIES = 3  # of calls that may be repeated: all but the one that creates a batch
_DOWNLOAD_BLOCK = 1 << 20


@dataclass(slots=True)
class BatchService:
    """A connection to the files and batches of an OpenAI-compatible service."""

    endpoint: EndpointConfig
    api_key: str = field(repr=False)
    timeout_seconds: float
    _server: openai.OpenAI = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._server = openai.OpenAI(
            base_url=self.endpoint.base_url,
            api_key=self.api_key,
            max_retries=_RETRIES,
            timeout=self.timeout_seconds,
        )

    def __enter__(self) -> BatchService:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def submit(self, folder: BatchFolder, on_batch: Callable[[Batch], None]) -> None:
        """Submit all batches of the folder that are not yet; record each step."""
        with self._explained():
            self._find_again([b for b in folder.batches if not b.batch_id], folder)
            for batch in folder.batches:
                if not batch.batch_id:
                    self._upload(batch, folder)
                    self._create(batch, folder)
                    on_batch(batch)

    def refresh(self, batch: Batch) -> None:
        """Take over what the service says of a submitted batch."""
        with self._explained():
            _take_over(batch, self._server.batches.retrieve(batch.batch_id))

    def download(self, file_id: str, path: str) -> bool:
        """Write a file of the service, whole or not at all; False where it is gone there."""
        files = self._server.files.with_streaming_response
        with self._explained():
            try:
                with files.content(file_id) as response, storage.open_write(path) as handle:
                    for block in response.iter_bytes(_DOWNLOAD_BLOCK):
                        handle.write(block)
            except openai.NotFoundError:
                return False
        return True

    def _find_again(self, batches: list[Batch], folder: BatchFolder) -> None:
        """Look for uploads and batches that an earlier run may have left unrecorded."""
        lost = {batch.token: batch for batch in batches if batch.status != "written"}
        if not lost:
            return
        for hosted in self._server.batches.list(limit=100):
            token = (hosted.metadata or {}).get(_TOKEN, "")
            if batch := lost.pop(token, None):
                _take_over(batch, hosted)
        if without_file := {t: b for t, b in lost.items() if not b.input_file_id}:
            for file in self._server.files.list(purpose="batch"):
                if batch := without_file.get(file.filename.removesuffix(".jsonl")):
                    batch.input_file_id = file.id
        folder.save()

    def _upload(self, batch: Batch, folder: BatchFolder) -> None:
        if batch.input_file_id:
            return
        batch.status = "uploading"
        folder.save()
        with storage.open_read(folder.file(batch.file)) as handle:
            named = (f"{batch.token}.jsonl", handle)
            batch.input_file_id = self._server.files.create(file=named, purpose="batch").id
        batch.status = "submitting"
        folder.save()

    def _create(self, batch: Batch, folder: BatchFolder) -> None:
        once = self._server.with_options(max_retries=0)  # a repeated call would be a second batch
        hosted = once.batches.create(
            input_file_id=batch.input_file_id,
            endpoint=batch.url,  # type: ignore[arg-type]
            completion_window="24h",
            metadata={_TOKEN: batch.token, "file": batch.file},
        )
        _take_over(batch, hosted)
        folder.save()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn errors of the service into one line each, without the key."""
        try:
            yield
        except openai.APIStatusError as error:
            raise ServiceError(self._refusal(error)) from None
        except openai.APIConnectionError as error:
            cause = str(error.__cause__ or error)
            raise ServiceError(
                f"{self.endpoint.base_url} cannot be reached ({cause}); check synthesis.base_url "
                "and run it again: nothing is submitted twice"
            ) from None

    def _refusal(self, error: openai.APIStatusError) -> str:
        body = error.body if isinstance(error.body, dict) else {}
        message = str(body.get("message") or error.message).replace(self.api_key, "***")
        what = f"{self.endpoint.base_url} refused: HTTP {error.status_code} {message}"
        if error.status_code in (401, 403):
            return f"{what}; check the key in {self.endpoint.api_key_env}"
        if error.status_code == 404:
            return (
                f"{what}; check that synthesis.base_url is where the batches were submitted and "
                "has a Batch API (--batch write makes files for vllm run-batch)"
            )
        return f"{what}; run it again when that is mended: nothing is submitted twice"


def _take_over(batch: Batch, hosted: HostedBatch) -> None:
    batch.batch_id = hosted.id
    batch.input_file_id = hosted.input_file_id or batch.input_file_id
    batch.status = hosted.status
    if counts := hosted.request_counts:
        batch.completed, batch.failed = counts.completed or 0, counts.failed or 0
    batch.output_file_id = hosted.output_file_id or ""
    batch.error_file_id = hosted.error_file_id or ""
    problems = (hosted.errors.data or []) if hosted.errors else []
    batch.errors = [
        f"{e.code or 'error'}: {e.message or ''}" + (f" (line {e.line})" if e.line else "")
        for e in problems
    ]
