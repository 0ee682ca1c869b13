"""Which documents are held out: questions and pairs of a document are on one side only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from curation.draw import is_drawn
from curation.errors import check_range


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitConfig:
    """The `[splits]` table."""

    held_out: float = 0.1
    """Share of the documents (by hash of their id) whose pairs and questions are not trained on."""
    seed: int = 0
    """Another seed holds out other documents."""

    def __post_init__(self) -> None:
        check_range("splits.held_out", self.held_out, 0.0, 1.0)

    def is_held_out(self, document_ids: Iterable[str]) -> bool:
        """Tell whether any of a record's documents is held out; records without one never are."""
        return any(is_drawn(i, "held-out", self.held_out, self.seed) for i in document_ids if i)
