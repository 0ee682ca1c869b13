"""The texts to encode, in parts that are encoded and kept one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import xxhash


@dataclass(frozen=True, slots=True)
class ListedTexts:
    """Texts in memory, `size` a part."""

    texts: Sequence[str]
    size: int

    def __len__(self) -> int:
        return -(-len(self.texts) // self.size)

    def rows(self) -> list[int]:
        """Return how many texts each part has."""
        return [
            min(self.size, len(self.texts) - start)
            for start in range(0, len(self.texts), self.size)
        ]

    def part(self, number: int) -> list[str]:
        """Return the texts of a part."""
        return list(self.texts[number * self.size : (number + 1) * self.size])


def texts_digest(texts: Sequence[str]) -> str:
    """Return the xxh3-128 of texts and where they end: equal for equal lists only."""
    digest = xxhash.xxh3_128()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()
