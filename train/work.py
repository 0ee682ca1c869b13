"""The texts of a step as token ids, whatever the stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from train.data import TextBatch
from train.model import M3Model
from train.passes import TokenRows


@dataclass(frozen=True, slots=True)
class Work:
    """The texts of a step as token ids."""

    ids: list[str]
    """The rows."""
    tokens: Sequence[TokenRows]
    batch: TextBatch | None = None
    """Of queries and passages: which belong together."""
    seeds: Sequence[int] = ()
    """Of documents: what their masks follow from."""
    cut: int = 0
    """Texts that were longer than the limit."""

    @property
    def longest(self) -> int:
        """The length of the longest text in tokens."""
        return max((len(row) for side in self.tokens for row in side), default=0)

    @property
    def size(self) -> int:
        """The number of tokens."""
        return sum(len(row) for side in self.tokens for row in side)


def random_tokens(model: M3Model, texts: int, length: int) -> list[list[int]]:
    """Return texts of a length in random tokens: as many distinct ones as a real batch has."""
    generator = np.random.default_rng(length)
    vocabulary = int(model.encoder.config.vocab_size)
    found: list[list[int]] = generator.integers(vocabulary, size=(texts, length)).tolist()
    return found


def lower_limit(limit: int, own_limit: int) -> int:
    """Return the lower of the model's limit and a stage's own (0: it has none), in tokens."""
    return min(limit, own_limit or limit)


def tokenized(
    model: M3Model, texts: Sequence[str], prompt: str, limit: int, own_limit: int
) -> tuple[list[list[int]], int]:
    """Return token ids cut to the lower limit (0: none of the stage's own), and how many were."""
    if not texts:
        return [], 0
    length = lower_limit(limit, own_limit)
    encoded = model.tokenizer([prompt + text for text in texts], truncation=True, max_length=length)
    ids: list[list[int]] = encoded["input_ids"]
    return ids, sum(bool(encoding.overflowing) for encoding in encoded.encodings)
