"""Masked auto-encoding for retrieval (RetroMAE): one vector must bring a text back.

The encoder reads a text of which some tokens are hidden, and predicts these. A decoder of one layer
predicts every token from the text's vector (what the dense head pools) and, by enhanced decoding,
from a sample of the other tokens that is different for every position. Most tokens are missing from
a sample, so the vector must hold what the text says. The decoder is dropped afterwards.

    loss = mean CE of the hidden tokens (encoder) + mean CE of all tokens (decoder)
    decoder: A = softmax(Q Kᵀ / √d + M) V,   Q = h + p_i,   K, V = (h, e_1 + p_1, …, e_L + p_L)

h is the text's vector, e word embeddings, p sinusoidal positions (no weights that long texts would
leave untrained). Logits come from the word embeddings themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from curation.errors import ConfigError
from train.batch_loss import StepLoss
from train.batching import token_batches
from train.chunked import weighted_cross_entropy
from train.data import text_key
from train.distributed import World
from train.masks import hidden_counts, hidden_tokens, visible_tokens
from train.model import M3Model
from train.plan import Phase
from train.precision import autocast, resolve_precision
from train.work import Work, lower_limit, random_tokens, tokenized

# Elements of a chunk's (texts, positions, tokens) mask: 1 Mi random numbers take 30 MB.
_MAX_ELEMENTS = 1 << 20


class Decoder(nn.Module):
    """One transformer layer and the prediction head; logits need the encoder's word embeddings."""

    def __init__(self, width: int, heads: int, vocabulary: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.transform = nn.Linear(width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(5))
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def keys(self, vector: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values (N, heads, L, w) of vectors (N, d) and word embeddings (N, L, d).

        The vector takes the place of the first token.
        """
        inputs = torch.cat([vector[:, None], words[:, 1:]], dim=1)
        places = torch.arange(inputs.shape[1], device=inputs.device)
        inputs = self.norms[0](inputs + positions(places, inputs.shape[2]))
        return self._split(self.key(inputs)), self._split(self.value(inputs))

    def forward(
        self, vector: Tensor, keys: Tensor, values: Tensor, places: Tensor, visible: Tensor
    ) -> Tensor:
        """Return the states (N, q, d) that predict the tokens at q places; `visible` (N, q, L)."""
        start = self.norms[1](vector[:, None] + positions(places, vector.shape[1]))
        attended = functional.scaled_dot_product_attention(
            self._split(self.query(start)), keys, values, attn_mask=visible[:, None]
        )
        states = self.norms[2](start + self.out(attended.transpose(1, 2).flatten(2)))
        inner = self.narrow(functional.gelu(self.wide(states)))
        return self.predictive(self.norms[3](states + inner))

    def predictive(self, states: Tensor) -> Tensor:
        """Return what is multiplied with the word embeddings, of encoder or decoder states."""
        found: Tensor = self.norms[4](functional.gelu(self.transform(states)))
        return found

    def _split(self, states: Tensor) -> Tensor:
        return states.view(*states.shape[:2], self.heads, -1).transpose(1, 2)


def positions(places: Tensor, width: int) -> Tensor:
    """Return sinusoidal position vectors (q, d)."""
    rates = torch.exp(
        torch.arange(0, width, 2, device=places.device) * (-math.log(10_000.0) / width)
    )
    angles = places[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width]


@dataclass(slots=True)
class AutoEncoding:
    """The stage retromae: texts in, the gradients of both reconstructions out."""

    model: M3Model
    phase: Phase
    helper: Decoder = field(init=False)

    def __post_init__(self) -> None:
        if self.model.tokenizer.mask_token_id is None:
            raise ConfigError(
                "the stage retromae hides tokens, but the tokenizer of model.encoder has no mask "
                "token; leave the stage out or take another encoder"
            )
        shape = self.model.encoder.config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.phase.config.seed)
            self.helper = Decoder(shape.hidden_size, shape.num_attention_heads, shape.vocab_size)
        self.helper.to(self.model.device)

    @property
    def longest(self) -> int:
        """The limit of a text in tokens."""
        stage = self.phase.stage
        return lower_limit(self.model.config.max_passage_tokens, stage.max_passage_tokens)

    def sample(self, rows: int, length: int) -> Work:
        """Return random texts of a length, to measure with."""
        return Work([""] * rows, (random_tokens(self.model, rows, length),), seeds=range(rows))

    def encode(self, texts: int, length: int) -> None:
        """Take one sub-batch of random texts through, in this process alone."""
        rows = random_tokens(self.model, texts, length)
        seeds = torch.arange(texts, device=self.model.device)
        self._sums(rows, seeds, self._counts(rows))

    def read(self, rows: Sequence[dict[str, Any]], generator: np.random.Generator) -> Work:
        """Return the texts of documents, cut to the length limit."""
        own, stage = self.model.config, self.phase.stage
        texts = [row["text"] for row in rows]
        limit = own.max_passage_tokens
        tokens, cut = tokenized(
            self.model, texts, own.passage_prompt, limit, stage.max_passage_tokens
        )
        salt = int(generator.integers(1 << 62))
        seeds = [text_key(f"{salt} {row['id']}") for row in rows]
        return Work([row["id"] for row in rows], (tokens,), seeds=seeds, cut=cut)

    def backward(self, work: Work, budget: int) -> StepLoss:
        """Accumulate the gradients of the loss of all processes' texts, sub-batch by sub-batch."""
        world, rows = World.current(self.model.device), work.tokens[0]
        trained = [*self.model.parameters(), *self.helper.parameters()]
        counts = world.sum(self._counts(rows))
        sums = [0.0, 0.0]
        with world.summed_gradients(trained):
            for group in token_batches([len(row) for row in rows], budget):
                some = [rows[i] for i in group.tolist()]
                seeds = torch.tensor([work.seeds[i] for i in group.tolist()])
                for i, loss in enumerate(self._sums(some, seeds.to(self.model.device), counts)):
                    sums[i] += loss
        sums = world.sum(sums)
        parts = dict(zip(("encoder", "decoder"), sums, strict=True))
        return StepLoss(sum(sums), parts, {"hidden": int(counts[0]), "predicted": int(counts[1])})

    def _counts(self, rows: Sequence[Sequence[int]]) -> list[float]:
        """Return how many tokens the encoder and the decoder predict."""
        special = set(self.model.get_buffer("unweighted").tolist())
        lengths = torch.tensor([sum(i not in special for i in row) for row in rows])
        hidden = hidden_counts(lengths, self.phase.stage.encoder_mask)
        return [float(hidden.sum()), float(lengths.sum())]

    def _sums(
        self, rows: Sequence[Sequence[int]], seeds: Tensor, counts: Sequence[float]
    ) -> tuple[float, float]:
        """Return a sub-batch's part of both losses, and take their gradients back."""
        ids, mask = self.model.pad(rows)
        special = (ids[..., None] == self.model.get_buffer("unweighted")).any(-1)
        maskable = mask.bool() & ~special
        hidden = hidden_tokens(maskable, seeds, self.phase.stage.encoder_mask)
        read = ids.masked_fill(hidden, self.model.tokenizer.mask_token_id)
        with autocast(ids.device, resolve_precision(self.phase.config.precision, ids.device)):
            states, vector = self.model.states(read, mask)
            own = self.helper.predictive(states[hidden])
            back = self._decoded(vector, ids, mask.bool(), seeds)[maskable]
        scales = [
            states.new_full((len(part),), 1 / max(1.0, count))
            for part, count in zip((own, back), counts, strict=True)
        ]
        total, losses = weighted_cross_entropy(
            torch.cat([own, back]).float(),
            torch.cat([ids[hidden], ids[maskable]]),
            torch.cat(scales),
            self.model.encoder.get_input_embeddings().weight,
            self.helper.bias,
        )
        total.backward()  # type: ignore[no-untyped-call]
        parts = torch.split(losses, [len(own), len(back)])
        first, second = (float(p @ s) for p, s in zip(parts, scales, strict=True))
        return first, second

    def _decoded(self, vector: Tensor, ids: Tensor, real: Tensor, seeds: Tensor) -> Tensor:
        """Return the decoder's states (N, L, d), in chunks of positions that are computed again.

        So masks and attention are (positions of a chunk, tokens), never (tokens, tokens).
        """
        keys, values = self.helper.keys(vector, self.model.encoder.get_input_embeddings()(ids))
        size = max(1, _MAX_ELEMENTS // ids.numel())
        places = torch.arange(ids.shape[1], device=ids.device)
        return torch.cat(
            [
                checkpoint(
                    self._chunk, vector, keys, values, real, seeds, some, use_reentrant=False
                )
                for some in torch.split(places, size)
            ],
            dim=1,
        )

    def _chunk(
        self,
        vector: Tensor,
        keys: Tensor,
        values: Tensor,
        real: Tensor,
        seeds: Tensor,
        places: Tensor,
    ) -> Tensor:
        visible = visible_tokens(real, seeds, places, self.phase.stage.decoder_mask)
        states: Tensor = self.helper(vector, keys, values, places, visible)
        return states
