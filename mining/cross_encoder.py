"""Second scores for pairs from a transformers sequence-classification model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from curation.errors import ConfigError, InputError
from mining.lists import Ids
from mining.pool import Pool, Scores
from train.batching import token_batches
from train.precision import autocast

_WINDOW = 4096  # pairs sorted by length together


@dataclass(frozen=True, slots=True)
class CrossScores:
    """Logits of pairs: of one output that, of two the second less the first."""

    pool: Pool
    model: Any
    tokenizer: Any
    max_tokens: int
    batch_tokens: int
    dtype: str

    @classmethod
    def open(
        cls,
        folder: str,
        pool: Pool,
        *,
        device: torch.device,
        max_tokens: int,
        batch_tokens: int,
        dtype: str,
    ) -> CrossScores:
        """Load a folder; raise `ConfigError` where it holds no model of one or two outputs."""
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        try:
            model = AutoModelForSequenceClassification.from_pretrained(folder)
            tokenizer = AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError) as error:
            raise InputError(f"mining.rescore.cross_encoder = {folder!r}: {error}") from error
        if model.config.num_labels not in (1, 2):
            raise ConfigError(
                f"mining.rescore.cross_encoder = {folder!r} has {model.config.num_labels} outputs; "
                "it takes a model of one (a score) or two (irrelevant, relevant)"
            )
        model = model.to(device).eval()
        return cls(pool, model, tokenizer, max_tokens, batch_tokens, dtype)

    def __call__(self, rows: Ids, numbers: Ids) -> Scores:
        """Return the scores of rows (m,) with passages (m,)."""
        scores = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), _WINDOW):
            window = slice(start, start + _WINDOW)
            scores[window] = self._window(rows[window], numbers[window])
        return scores

    def _window(self, rows: Ids, numbers: Ids) -> Scores:
        encoded = self.tokenizer(
            self.pool.queries.take(rows),
            self.pool.passages.take(numbers),
            truncation="longest_first",
            max_length=self.max_tokens,
        )
        lengths = [len(ids) for ids in encoded["input_ids"]]
        scores = np.empty(len(rows), np.float32)
        for group in token_batches(lengths, self.batch_tokens):
            batch = {name: [values[i] for i in group.tolist()] for name, values in encoded.items()}
            padded = self.tokenizer.pad(batch, return_tensors="pt").to(self.model.device)
            with torch.inference_mode(), autocast(self.model.device, self.dtype):
                logits = self.model(**padded).logits.float()
            scores[group] = _score(logits).cpu().numpy()
        return scores


def _score(logits: Tensor) -> Tensor:
    return logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
