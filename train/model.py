"""The M3 model: a Hugging Face encoder with a dense, a sparse and a multi-vector head."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from train import mcls, packing
from train.config import ModelConfig
from train.scoring import Embeddings

# Their tokens have no lexical weight, as in the reference implementation; <mask> has one.
_UNWEIGHTED = ("cls_token_id", "sep_token_id", "eos_token_id", "pad_token_id", "unk_token_id")


class M3Model(nn.Module):
    """An encoder and its heads; `train.checkpoint` loads and saves it.

    dense: the first token's last hidden state (or the mean of all), L2-normalised. sparse:
    ReLU(W·h + b) of each token, 0 at cls, eos or sep, pad and unk. multi-vector: W·h + b,
    normalised, of every token but the first. Both heads have a bias, as in the reference
    implementation. Special ids are the tokenizer's; every text is one segment, which is what BERT
    takes when it is given no token types.
    """

    def __init__(self, encoder: Any, tokenizer: Any, config: ModelConfig) -> None:
        super().__init__()
        hidden = int(encoder.config.hidden_size)
        packing.prepare(encoder)
        self.encoder = encoder
        self.tokenizer = tokenizer
        self.config = config
        self.sparse_linear = nn.Linear(hidden, 1)
        self.colbert_linear = nn.Linear(hidden, config.colbert_dim or hidden)
        # Starts as late interaction over the encoder's own states; the default of a linear layer
        # distorts them: nDCG@10 0.945 against 0.911 and 0.922 (docs/decisions.md).
        fill_orthogonal(self.colbert_linear.weight)
        nn.init.zeros_(self.colbert_linear.bias)
        # Starts as token overlap. Random weights are dead for some seeds (the encoder's states
        # point one way, so ReLU may give 0 everywhere) and noise that the ensemble turns off for
        # others; of 0.05, 0.1, 0.2, 0.3 this start has the smallest loss (docs/decisions.md).
        nn.init.zeros_(self.sparse_linear.weight)
        nn.init.constant_(self.sparse_linear.bias, 0.2)
        special = {getattr(tokenizer, name) for name in _UNWEIGHTED} - {None}
        self.register_buffer("unweighted", torch.tensor(sorted(special)), persistent=False)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, *, multi_vector: bool = True
    ) -> Embeddings:
        """Return the embeddings of (N, L) token ids; heads are computed in fp32.

        Without `multi_vector` the token vectors have no width: of an encoder of 6 layers of 384
        they take 4 % of the time.
        """
        hidden, pooled = self.states(input_ids, attention_mask)
        mask = attention_mask.bool()
        inner = torch.cat([torch.zeros_like(mask[:, :1]), mask[:, 1:]], dim=1)
        special = (input_ids[..., None] == self.get_buffer("unweighted")).any(-1)
        with torch.autocast(hidden.device.type, enabled=False):
            weights = torch.relu(self.sparse_linear(hidden)).squeeze(-1)
            vectors = hidden[..., :0]
            if multi_vector:
                vectors = nn.functional.normalize(self.colbert_linear(hidden), dim=-1)
        return Embeddings(
            dense=nn.functional.normalize(pooled, dim=-1),
            weights=weights.masked_fill(special | ~mask, 0.0),
            vectors=vectors * inner[..., None],
            ids=input_ids,
            mask=inner,
        )

    def states(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states (N, L, d) of the texts' own tokens and what the dense head pools."""
        if self.config.mcls_tokens and not self.training:
            cls, pad = self.tokenizer.cls_token_id, self.tokenizer.pad_token_id
            spread = mcls.spread(ids, mask, self.config.mcls_tokens, cls, pad)
            hidden = packing.states(self.encoder, spread.ids, spread.mask).float()
            return hidden[:, spread.own], mcls.pooled(hidden, spread)
        hidden = packing.states(self.encoder, ids, mask).float()
        return hidden, self._pooled(hidden, mask)

    def _pooled(self, hidden: Tensor, mask: Tensor) -> Tensor:
        if self.config.pooling == "cls":
            return hidden[:, 0]
        weight = mask[..., None].float()
        return (hidden * weight).sum(1) / weight.sum(1).clamp(min=1)

    def tokenize(self, texts: Sequence[str], *, is_query: bool) -> list[list[int]]:
        """Return token ids with special tokens, prompt in front, cut to the config's length."""
        prompt = self.config.query_prompt if is_query else self.config.passage_prompt
        limit = self.config.max_query_tokens if is_query else self.config.max_passage_tokens
        if not texts:
            return []
        encoded = self.tokenizer(
            [prompt + text for text in texts], truncation=True, max_length=limit, padding=False
        )
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    def pad(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Return (N, L) ids and attention mask on the model's device."""
        length = max(map(len, rows))
        ids = torch.full((len(rows), length), int(self.tokenizer.pad_token_id))
        mask = torch.zeros((len(rows), length), dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
            mask[i, : len(row)] = 1
        return ids.to(self.device), mask.to(self.device)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.sparse_linear.weight.device


def weights_digest(model: M3Model) -> str:
    """Return a digest of all weights: what tells one checkpoint's vectors from another's."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def fill_orthogonal(weight: Tensor) -> None:
    """Fill a (c, d) weight on one thread: on two, the last bits of its factorisation differ.

    A seed would else give other weights on another machine, and cached vectors would miss.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        nn.init.orthogonal_(weight)
    finally:
        torch.set_num_threads(threads)
