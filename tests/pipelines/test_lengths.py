"""Token lengths that were counted once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from curation.tokens import TokenCounter
from pipelines.lengths import StoredLengths


class Counting(TokenCounter):
    """A counter that remembers what it was asked."""

    asked: list[str]

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Count, and remember."""
        self.asked += texts
        return super().lengths(texts)


def test_only_new_texts_are_counted(tiny_encoder: str, tmp_path: Path) -> None:
    """Lengths are the counter's, in the order asked; what the file holds is not counted again."""
    counter = Counting(tiny_encoder)
    counter.asked = []
    path = str(tmp_path / "deep/lengths.npy")
    texts = ["The river.", "Two towns and a mill", "শেষ", ""]
    plain = TokenCounter(tiny_encoder).lengths([*texts, "The sea."])
    assert StoredLengths(path, counter).lengths(texts) == plain[:4]
    assert counter.asked == texts
    again = StoredLengths(path, counter)
    assert again.lengths([texts[1], "The sea.", texts[0], texts[1]]) == [
        plain[1],
        plain[4],
        plain[0],
        plain[1],
    ]
    assert counter.asked == [*texts, "The sea."]
    assert again.lengths(["The sea.", *texts]) == [plain[4], *plain[:4]]
    assert again.lengths([]) == []
    assert len(counter.asked) == 5
