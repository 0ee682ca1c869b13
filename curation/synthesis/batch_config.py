"""How request files of batches are cut: the `[synthesis.batch]` table."""

from __future__ import annotations

from dataclasses import dataclass

from curation.errors import check_range


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchConfig:
    """The `[synthesis.batch]` table."""

    max_requests_per_file: int = 50_000
    """Requests in one batch; hosted services take up to 50,000."""
    max_file_megabytes: float = 200.0
    """Size of a request file; hosted services take up to 200 MB (of 1,000,000 bytes)."""

    def __post_init__(self) -> None:
        check_range("synthesis.batch.max_requests_per_file", self.max_requests_per_file, 1, 50_000)
        check_range("synthesis.batch.max_file_megabytes", self.max_file_megabytes, 0.0001, 200)

    @property
    def max_bytes(self) -> int:
        """The size of a file in bytes."""
        return int(self.max_file_megabytes * 1_000_000)
