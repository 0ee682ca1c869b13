"""Second scores for pairs of a query and a passage: the model's three heads together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mining.encode import encode_batches
from mining.encode_parts import PartEncoder, encode_chosen
from mining.lists import Ids
from mining.pool import Pool, Scores
from mining.texts import Texts
from train.scoring import Embeddings, concatenate, weighted_sum

_QUERY_NUMBERS = 1 << 28  # of the token vectors of queries that are held: 512 MB in fp16
_PRODUCTS = 1 << 22  # products of tokens at once: 16 MB, which a cache holds


@dataclass(frozen=True, slots=True)
class HybridScores:
    """w1·s_dense + w2·s_lex + w3·s_mul (paper, section 3.2) of pairs, in fp32.

    Passages are encoded with all heads when they are scored, batch by batch, and not kept: their
    token vectors would be a hundred times the size of their dense ones.
    """

    pool: Pool
    encoder: PartEncoder
    weights: Sequence[float]

    def __call__(self, rows: Ids, numbers: Ids) -> Scores:
        """Return the scores of rows (m,) with passages (m,)."""
        scores = np.empty(len(rows), np.float32)
        asked, place = np.unique(rows, return_inverse=True)
        config = self.encoder.model.config
        width = int(self.encoder.model.colbert_linear.out_features)
        size = max(1, _QUERY_NUMBERS // (width * config.max_query_tokens))
        for start in range(0, len(asked), size):
            pairs = np.flatnonzero((place >= start) & (place < start + size))
            texts = self.pool.queries.take(asked[start : start + size])
            queries = encode_chosen(self.encoder, texts, is_query=True)
            for some, found in self._scored(queries, place[pairs] - start, numbers[pairs]):
                scores[pairs[some]] = found
        return scores

    def _scored(
        self, queries: list[Embeddings], own: Ids, numbers: Ids
    ) -> Iterator[tuple[Ids, Scores]]:
        """Yield (places among the pairs, their scores), passage batch by passage batch."""
        wanted, passage = np.unique(numbers, return_inverse=True)
        order = np.argsort(passage, kind="stable")
        starts = np.searchsorted(passage[order], np.arange(len(wanted) + 1))
        texts = Texts(self.pool.passages.array.take(wanted))
        encoder = self.encoder
        for batch, embeddings in encode_batches(
            encoder.model,
            texts,
            is_query=False,
            budget=encoder.config.batch_tokens,
            dtype=encoder.dtype,
        ):
            counts = (starts[batch + 1] - starts[batch]).tolist()
            some = np.concatenate([order[starts[b] : starts[b + 1]] for b in batch.tolist()])
            inside = np.repeat(np.arange(len(batch)), counts)
            yield some, self._pairs([queries[i] for i in own[some].tolist()], embeddings, inside)

    def _pairs(self, queries: list[Embeddings], passages: Embeddings, inside: Ids) -> Scores:
        """Return the scores of queries (m,) with rows `inside` (m,) of a batch."""
        longest = max(len(query.ids[0]) for query in queries)
        size = max(1, _PRODUCTS // (longest * passages.ids.shape[1]))
        found = []
        for start in range(0, len(queries), size):
            some = slice(start, start + size)
            index = torch.from_numpy(inside[some]).to(passages.ids.device)
            heads = head_scores(concatenate(queries[some]), passages.select(index))
            found.append(weighted_sum(heads, self.weights))
        scores: Scores = torch.cat(found).float().cpu().numpy()
        return scores


def head_scores(queries: Embeddings, passages: Embeddings) -> tuple[Tensor, Tensor, Tensor]:
    """Return the dense, sparse and multi-vector scores (M,) of M pairs, as train.scoring does."""
    dense = (queries.dense.float() * passages.dense.float()).sum(-1)
    return dense, _lexical(queries, passages), _late(queries, passages)


def _lexical(queries: Embeddings, passages: Embeddings) -> Tensor:
    """Σ over shared tokens of w_q · w_p, each token once, with its largest weight."""
    shared = queries.ids[:, :, None] == passages.ids[:, None, :]
    best = (shared * passages.weights.float()[:, None, :]).amax(-1)
    weights = queries.weights.float()
    return (weights * _is_largest(queries.ids, weights) * best).sum(-1)


def _is_largest(ids: Tensor, weights: Tensor) -> Tensor:
    """Mark of each token of a text (M, L) the place with its largest weight, the first of equal."""
    places = torch.arange(ids.shape[1], device=ids.device)
    earlier = places[None, :, None] > places[None, None, :]
    mine, other = weights[:, :, None], weights[:, None, :]
    beaten = (other > mine) | ((other == mine) & earlier)
    return ~((ids[:, :, None] == ids[:, None, :]) & beaten).any(-1)


def _late(queries: Embeddings, passages: Embeddings) -> Tensor:
    """1/N Σ_i max_j q_i · p_j over the tokens that the masks count."""
    products = torch.bmm(queries.vectors.float(), passages.vectors.float().transpose(1, 2))
    best = products.masked_fill(~passages.mask[:, None, :], -torch.inf).amax(-1)
    counts = queries.mask.sum(-1)
    return best.masked_fill(~queries.mask, 0.0).sum(-1) / counts.clamp(min=1)
