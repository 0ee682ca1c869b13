"""MCLS: where the extra tokens are, what the heads make of them, and when."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from curation.errors import ConfigError
from tests.builders import PARAGRAPH, TOPICS
from train import mcls
from train.checkpoint import load
from train.config import ModelConfig
from train.model import M3Model
from train.scoring import Embeddings

torch.set_num_threads(1)

PLAIN = ModelConfig(max_query_tokens=64, max_passage_tokens=400)
CLS, PAD, END = 0, 1, 2
TEXTS = [PARAGRAPH * 2, *TOPICS.values(), "the sea"]


@pytest.fixture(scope="module")
def model(tiny_encoder: str) -> M3Model:
    found = load(tiny_encoder, replace(PLAIN, mcls_tokens=8))
    generator = torch.Generator().manual_seed(1)
    torch.nn.init.normal_(found.sparse_linear.weight, std=0.1, generator=generator)
    torch.nn.init.constant_(found.sparse_linear.bias, 1.5)
    return found


def run(model: M3Model, rows: list[list[int]]) -> Embeddings:
    with torch.no_grad():
        found: Embeddings = model(*model.pad(rows))
    return found


@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4), every=st.integers(1, 12))
def test_every_row_is_spread_as_if_alone(lengths: list[int], every: int) -> None:
    """CLS, `every` tokens, CLS, `every` tokens …, by a loop over each text; the rest is padding."""
    ids, mask = torch.full((len(lengths), max(lengths)), PAD), torch.zeros(len(lengths), 0)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    for i, length in enumerate(lengths):
        ids[i, :length] = torch.tensor([CLS, *range(10, 9 + length)])
    found = mcls.spread(ids, mask, every, CLS, PAD)
    assert torch.equal(found.ids[:, found.own], ids)
    for i, length in enumerate(lengths):
        inner = list(range(10, 9 + length))
        cuts = [inner[k : k + every] for k in range(0, len(inner), every)] or [[]]
        expected = [token for cut in cuts for token in (CLS, *cut)]
        assert mcls.extra_tokens(length, every) == len(cuts) - 1
        assert found.ids[i].tolist() == expected + [PAD] * (found.ids.shape[1] - len(expected))
        assert found.mask[i].tolist() == [int(t != PAD) for t in found.ids[i].tolist()]
        marked = found.marks[found.mask[i, found.marks].bool()]
        assert len(marked) == len(cuts)
        assert found.ids[i, marked].eq(CLS).all()


def test_dense_is_the_mean_of_all_cls_states(model: M3Model) -> None:
    """By hand on the encoder: 20 tokens are CLS 8 CLS 8 CLS 3."""
    row = [CLS, *range(10, 28), END]
    wide = [CLS, *row[1:9], CLS, *row[9:17], CLS, *row[17:]]
    with torch.no_grad():
        ids, mask = model.pad([wide])
        hidden = model.encoder(input_ids=ids, attention_mask=mask)[0][0]
        found = run(model, [row])
        kept = [i for i in range(len(wide)) if i not in (9, 18)]
        vectors = normalize(model.colbert_linear(hidden[kept]), dim=-1)
        weights = torch.relu(model.sparse_linear(hidden[kept]))[:, 0]
    torch.testing.assert_close(found.dense[0], normalize(hidden[[0, 9, 18]].mean(0), dim=0))
    assert found.ids.tolist() == [row]
    assert found.mask.int().tolist() == [[0] + [1] * 19]
    torch.testing.assert_close(found.vectors[0, 1:], vectors[1:])
    assert weights.std() > 0.01
    torch.testing.assert_close(found.weights[0, 1:-1], weights[1:-1])


def test_batch_and_padding_change_nothing(model: M3Model) -> None:
    """Each text has the three embeddings that it has alone."""
    rows = model.tokenize(TEXTS, is_query=False)
    together = run(model, rows)
    for i, row in enumerate(rows):
        alone, length = run(model, [row]), len(row)
        torch.testing.assert_close(together.dense[i], alone.dense[0], atol=1e-5, rtol=0)
        for mine, theirs in ((alone.weights, together.weights), (alone.vectors, together.vectors)):
            torch.testing.assert_close(theirs[i, :length], mine[0], atol=1e-5, rtol=0)
            assert not theirs[i, length:].any()


def test_short_texts_and_training_are_as_without(tiny_encoder: str, model: M3Model) -> None:
    """CLS + 8 tokens: no extra one; a model in training takes none for any text."""
    plain = load(tiny_encoder, PLAIN)
    for rows, is_same in (
        ([[CLS, *range(10, 17), END]], True),
        ([[CLS, *range(10, 18), END]], False),
    ):
        assert torch.equal(run(model, rows).dense, run(plain, rows).dense) is is_same
    rows = model.tokenize(TEXTS, is_query=False)
    model.train()
    model.encoder.eval()  # without its dropout
    assert torch.equal(run(model, rows).dense, run(plain, rows).dense)
    model.eval()


def test_extra_tokens_need_positions_too(tiny_encoder: str) -> None:
    """512 positions: 498 tokens and their 31 CLS are too many, 482 and 30 fit."""
    config = replace(PLAIN, mcls_tokens=16)
    load(tiny_encoder, replace(config, max_passage_tokens=482))
    message = "= 498 and 31 CLS tokens of model.mcls_tokens = 16 is beyond .* to 481 or less"
    with pytest.raises(ConfigError, match=message):
        load(tiny_encoder, replace(config, max_passage_tokens=498))


def test_mean_pooling_has_no_cls_to_average() -> None:
    """The two options contradict each other."""
    with pytest.raises(ConfigError, match=r"averages CLS states, but model.pooling is 'mean'"):
        ModelConfig(pooling="mean", mcls_tokens=256)
