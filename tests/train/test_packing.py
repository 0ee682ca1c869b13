"""Texts end to end equal padded ones; the CPU's attention and dropout equal their definition."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import AutoModel

from tests.builders import TOPICS
from tests.families import build_family
from train import attention as attentions
from train import packing
from train.attention import attention
from train.checkpoint import load, save
from train.config import ModelConfig
from train.dropout import Dropout, bits_of, kept

torch.set_num_threads(1)

CONFIG = ModelConfig(max_query_tokens=64, max_passage_tokens=200)
LENGTHS = (9, 1, 30, 17)
HEADS, WIDTH = 3, 8


@pytest.fixture(scope="module", params=["xlm-roberta", "bert", "modernbert"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("packing") / request.param
    build_family(path, request.param, [*TOPICS.values()])
    return str(path)


def _vectors(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (sum(LENGTHS), HEADS, WIDTH)
    drawn = [torch.randn(shape, generator=generator) for _ in range(3)]
    return [side.transpose(0, 1).requires_grad_() for side in drawn]


def _defined(sides: list[Tensor], seed: int, share: float) -> Tensor:
    """Attention with dropout, text by text, with the mask that the bits of a seed say."""
    bits, texts = bits_of(seed), []
    for q, k, v in zip(*(side.split(LENGTHS, dim=1) for side in sides), strict=True):
        length = q.shape[1]
        step = max(1, attentions._CHUNK // (HEADS * length))
        pieces = []
        for rows in torch.arange(length).split(step):
            probable = (q[:, rows] @ k.transpose(1, 2) / WIDTH**0.5).softmax(-1)
            mask = kept(bits, probable.numel(), share).view_as(probable)
            pieces.append(probable * mask / (1 - share) @ v)
        texts.append(torch.cat(pieces, dim=1))
    return torch.cat(texts, dim=1).transpose(0, 1)


@pytest.mark.parametrize("chunk", [1, 200, 1 << 17])
def test_attention_with_dropout_equals_its_definition(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outputs and all gradients, whatever the chunks."""
    monkeypatch.setattr(attentions, "_CHUNK", chunk)
    sides, same = _vectors(0), _vectors(0)
    weight = torch.randn(sum(LENGTHS), HEADS, WIDTH)
    monkeypatch.setattr(attentions, "drawn_seed", lambda: 5)
    found = attention(*sides, LENGTHS, WIDTH**-0.5, 0.25)
    expected = _defined(same, 5, 0.25)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    for side, other in zip(sides, same, strict=True):
        torch.testing.assert_close(side.grad, other.grad, rtol=1e-4, atol=1e-6)


@given(share=st.floats(0.01, 0.99), seed=st.integers(0, (1 << 62) - 1), count=st.integers(1, 9))
def test_dropped_share(share: float, seed: int, count: int) -> None:
    """Of n elements n · p are dropped, within six standard deviations; any count can be drawn."""
    assert len(kept(bits_of(seed), count, share)) == count
    drawn = kept(bits_of(seed), 20_000, share)
    assert set(drawn.tolist()) <= {0, 1}
    spread = (20_000 * share * (1 - share)) ** 0.5
    assert abs(float(drawn.float().sum()) - 20_000 * (1 - share)) < 6 * spread + 1


def test_dropout_scales_repeats_and_passes_gradients_through_the_same_mask() -> None:
    layer, values = Dropout(0.3), torch.ones(50, 7, requires_grad=True)
    torch.manual_seed(3)
    first = layer(values)
    other = layer(values)
    torch.manual_seed(3)
    again = layer(values)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    values_of = set(first.flatten().tolist())
    assert len(values_of) == 2
    assert max(values_of) == pytest.approx(1 / 0.7)
    first.sum().backward()
    assert torch.equal(values.grad, first)
    assert torch.equal(layer.eval()(values), values)


def test_packed_equals_padded(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """States and gradients of every weight, where a family is packed and where it is not."""
    model = load(folder, CONFIG).train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    texts = ["a", *TOPICS.values(), " ".join(TOPICS.values())]
    ids, mask = model.pad(model.tokenize(texts, is_query=False))
    real, found = mask.bool(), []
    for is_packed in (True, False):
        if not is_packed:
            monkeypatch.setattr(packing, "is_packable", lambda *_: False)
        model.zero_grad()
        states = model.states(ids, mask)[0][real]
        (states * torch.linspace(-1, 1, states.shape[1])).square().sum().backward()
        gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
        found.append((states.detach(), gradients))
    (states, gradients), (padded, others) = found
    torch.testing.assert_close(states, padded, rtol=1e-4, atol=1e-5)
    assert gradients.keys() == others.keys()
    for name, gradient in gradients.items():
        if name.endswith("key.bias"):
            continue  # softmax does not depend on it: its gradient is 0 and what is computed noise
        scale = float(others[name].abs().max()) + 1e-3
        assert float((gradient - others[name]).abs().max()) / scale < 1e-4, name


def test_packing_leaves_no_trace_in_a_checkpoint(folder: str, tmp_path: Path) -> None:
    model = load(folder, CONFIG)
    save(model, str(tmp_path / "model"))
    text = (tmp_path / "model" / "config.json").read_text()
    assert "attn" not in json.loads(text)
    assert "threefold" not in text
    other = AutoModel.from_pretrained(tmp_path / "model")
    assert other.config._attn_implementation == "sdpa"
