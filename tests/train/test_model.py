"""The M3 model: its three heads by hand, and how texts become token ids."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize
from transformers import AutoModel, AutoTokenizer

from curation.errors import ConfigError
from tests.builders import TOPICS, articles
from train.checkpoint import load
from train.config import ModelConfig
from train.model import M3Model, fill_orthogonal, weights_digest
from train.scoring import Embeddings

torch.set_num_threads(1)

CONFIG = ModelConfig(max_query_tokens=64, max_passage_tokens=256)
TEXTS = [*(row["text"] for row in articles("fr", 3)), "the sea", *TOPICS.values()]


@pytest.fixture(scope="module")
def model(tiny_encoder: str) -> M3Model:
    return load(tiny_encoder, CONFIG)


def run(model: M3Model, texts: list[str], *, is_query: bool = False) -> Embeddings:
    with torch.no_grad():
        found: Embeddings = model(*model.pad(model.tokenize(texts, is_query=is_query)))
    return found


def hidden_states(folder: str, text: str) -> torch.Tensor:
    tokens = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    with torch.no_grad():
        found: torch.Tensor = AutoModel.from_pretrained(folder, add_pooling_layer=False)(**tokens)[
            0
        ]
    return found[0]


def test_heads_by_hand(tiny_encoder: str) -> None:
    """Dense: first state; sparse: ReLU(W·h + b); multi-vector: W·h + b; both normalised."""
    model = load(tiny_encoder, CONFIG)
    torch.nn.init.normal_(model.sparse_linear.weight, generator=torch.Generator().manual_seed(1))
    hidden, found = hidden_states(tiny_encoder, TEXTS[0]), run(model, TEXTS[:1])
    torch.testing.assert_close(found.dense[0], hidden[0] / hidden[0].norm())
    inner = slice(1, -1)
    weights = (hidden @ model.sparse_linear.weight[0] + model.sparse_linear.bias).clamp(min=0)
    known = found.ids[0, inner] != 3
    torch.testing.assert_close(found.weights[0, inner][known], weights[inner][known])
    assert found.weights[0].count_nonzero() > 0
    vectors = hidden @ model.colbert_linear.weight.T + model.colbert_linear.bias
    torch.testing.assert_close(found.vectors[0, 1:], normalize(vectors, dim=-1)[1:])


@pytest.mark.parametrize("seed", range(4))
def test_sparse_head_starts_as_token_overlap(tiny_encoder: str, seed: int) -> None:
    """Every ordinary token weighs the same for any seed: no start is dead under ReLU."""
    found = run(load(tiny_encoder, CONFIG, seed), TEXTS)
    ordinary = found.ids > 3
    assert (found.weights[ordinary] == found.weights.max()).all()
    assert found.weights.max() > 0


def test_mean_pooling_leaves_padding_out(tiny_encoder: str) -> None:
    """The dense vector is the mean of the real tokens' states, also beside a longer text."""
    mean = load(tiny_encoder, replace(CONFIG, pooling="mean"))
    expected = normalize(hidden_states(tiny_encoder, "the sea").mean(0), dim=0)
    torch.testing.assert_close(run(mean, ["the sea", TEXTS[0]]).dense[0], expected)


def test_special_tokens_have_no_weight_but_mask_has(model: M3Model) -> None:
    """0 at <s>, <pad>, </s> and <unk>; <mask> counts as in the reference."""
    head = torch.nn.Linear(32, 1)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.ones_(head.bias)
    original, model.sparse_linear = model.sparse_linear, head
    ids, mask = model.pad([[0, 3, 4, 10, 2], [0, 11, 2]])
    weights = model(ids, mask).weights
    model.sparse_linear = original
    assert weights.tolist() == [[0, 0, 1, 1, 0], [0, 1, 0, 0, 0]]


def test_mask_counts_every_real_token_but_the_first(model: M3Model) -> None:
    """</s> has a vector of length 1, <s> and padding have none."""
    found = model(*model.pad([[0, 10, 11, 12, 2], [0, 11, 2]]))
    assert found.mask.int().tolist() == [[0, 1, 1, 1, 1], [0, 1, 1, 0, 0]]
    torch.testing.assert_close(found.vectors.norm(dim=-1), found.mask.float())


@pytest.mark.parametrize("others", [[], TEXTS[:1], TEXTS], ids=["alone", "pair", "many"])
def test_embedding_does_not_depend_on_the_batch(model: M3Model, others: list[str]) -> None:
    """A short text keeps its three embeddings beside longer ones."""
    alone, beside = run(model, ["the sea"]), run(model, [*others, "the sea"])
    length = alone.ids.shape[1]
    torch.testing.assert_close(beside.dense[-1], alone.dense[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(beside.weights[-1, :length], alone.weights[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(beside.vectors[-1, :length], alone.vectors[0], atol=1e-5, rtol=0)
    assert not beside.weights[-1, length:].any()
    assert not beside.vectors[-1, length:].any()


def test_heads_are_computed_in_fp32_under_autocast(model: M3Model) -> None:
    """bf16 is for the encoder: all embeddings are fp32, and their norms are exact."""
    with torch.autocast("cpu", torch.bfloat16):
        found = run(model, TEXTS)
    assert {t.dtype for t in found.tensors()} == {torch.float32}
    torch.testing.assert_close(found.vectors.norm(dim=-1), found.mask.float(), atol=1e-6, rtol=0)


def test_tokenize_puts_the_prompt_in_front_and_cuts(tiny_encoder: str) -> None:
    """Queries and passages have a prompt and a limit each; special tokens stay."""
    config = ModelConfig(
        max_query_tokens=8,
        max_passage_tokens=12,
        query_prompt="query: ",
        passage_prompt="passage: ",
    )
    model, plain = load(tiny_encoder, config), AutoTokenizer.from_pretrained(tiny_encoder)
    query, passage = (model.tokenize([TEXTS[0]], is_query=q)[0] for q in (True, False))
    assert query == [*plain("query: " + TEXTS[0])["input_ids"][:7], 2]
    assert passage == [*plain("passage: " + TEXTS[0])["input_ids"][:11], 2]
    assert model.tokenize(["a"], is_query=False) == [plain("passage: a")["input_ids"]]
    assert model.tokenize([], is_query=True) == []


def test_pad_fills_to_the_longest(model: M3Model) -> None:
    """Ids get <pad> (1), the mask 0."""
    ids, mask = model.pad([[0, 7, 2], [0, 7, 8, 9, 2]])
    assert ids.tolist() == [[0, 7, 2, 1, 1], [0, 7, 8, 9, 2]]
    assert mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]


def test_seed_decides_new_heads_only(tiny_encoder: str) -> None:
    """Equal seeds give equal weights, others other heads; the global generator is untouched."""
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, same, other = (load(tiny_encoder, CONFIG, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert weights_digest(first) == weights_digest(same) != weights_digest(other)
    assert not torch.equal(first.colbert_linear.weight, other.colbert_linear.weight)
    states = zip(first.encoder.parameters(), other.encoder.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in states)


@pytest.mark.parametrize("option", ["max_query_tokens", "max_passage_tokens"])
def test_lengths_beyond_the_positions_are_refused(tiny_encoder: str, option: str) -> None:
    """514 positions less the 2 that XLM-R reserves: 512 tokens, not one more."""
    load(tiny_encoder, replace(CONFIG, **{option: 512}))
    with pytest.raises(ConfigError, match="= 513 is beyond the encoder's 512 positions"):
        load(tiny_encoder, replace(CONFIG, **{option: 513}))


def test_orthogonal_start_is_the_same_on_any_number_of_threads() -> None:
    threads, weights = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            torch.manual_seed(0)
            weights.append(torch.empty(384, 384))
            fill_orthogonal(weights[-1])
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*weights)
    assert torch.allclose(weights[0] @ weights[0].T, torch.eye(384), atol=1e-5)
