"""Gradients of a step: the same whatever the sub-batches, cached or not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.builders import training_rows
from train.checkpoint import load
from train.config import LossConfig, ModelConfig
from train.data import TextBatch, collate, text_key
from train.losses import false_negatives, m3_loss
from train.model import M3Model
from train.scoring import all_scores
from train.step import backward, tokenize_batch

torch.set_num_threads(1)

CONFIG = ModelConfig(max_query_tokens=64, max_passage_tokens=256)
WHOLE = 1 << 20
LOSS = LossConfig(temperature=0.2)  # with 0.02 random vectors give losses near 30


@pytest.fixture
def model(tiny_encoder: str) -> M3Model:
    return load(tiny_encoder, CONFIG)


def questions() -> TextBatch:
    """Five rows of unequal lengths; the second passage of row 0 is a known positive too."""
    rows = [
        {
            "id": row.id,
            "query": row.query * (1 + n % 2),
            "positives": [row.positives[0][: 40 + 25 * n]],
            "negatives": row.negatives,
        }
        for n, row in enumerate(training_rows(5))
    ]
    batch = collate(rows, 2, np.random.default_rng(0))
    batch.positive_keys[0].append(batch.passage_keys[1])
    return batch


def step(
    model: M3Model, budget: int, *, cached: bool, dropout: float = 0.0
) -> tuple[float, dict[str, torch.Tensor | None], torch.Tensor]:
    """Return the loss, all gradients, and a number drawn after the step."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
    model.train()
    model.zero_grad(set_to_none=True)
    torch.manual_seed(7)
    batch = questions()
    loss = backward(model, batch, tokenize_batch(model, batch), LOSS, budget, cached=cached)
    gradients = {n: None if p.grad is None else p.grad.clone() for n, p in model.named_parameters()}
    return float(loss.total.detach()), gradients, torch.rand(3)


def assert_same(
    a: dict[str, torch.Tensor | None], b: dict[str, torch.Tensor | None], tolerance: float
) -> None:
    """Gradients are equal relative to the largest of each tensor."""
    assert a.keys() == b.keys()
    for name, gradient in a.items():
        other = b[name]
        if gradient is None or other is None:
            assert gradient is other, name
        else:
            scale = float(gradient.abs().max()) + 1e-3
            assert float((gradient - other).abs().max()) <= tolerance * scale, name


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "kept"])
@pytest.mark.parametrize("budget", [1, 100, 300, 1000])
def test_sub_batches_do_not_change_loss_or_gradients(
    model: M3Model, budget: int, cached: bool
) -> None:
    """From one text at a time to nearly all, the gradient is that of the whole batch."""
    plain_loss, plain, _ = step(model, WHOLE, cached=False)
    loss, gradients, _ = step(model, budget, cached=cached)
    assert loss == pytest.approx(plain_loss, rel=1e-5)
    assert_same(plain, gradients, 1e-4)
    assert sum(float(g.abs().sum()) > 0 for g in plain.values() if g is not None) > 30


@pytest.mark.parametrize("budget", [1, 300, WHOLE])
def test_cache_replays_the_same_dropout(model: M3Model, budget: int) -> None:
    """With dropout, encoding twice gives the gradient of encoding once, and the same state."""
    kept_loss, kept, kept_next = step(model, budget, cached=False, dropout=0.3)
    loss, gradients, following = step(model, budget, cached=True, dropout=0.3)
    assert loss == pytest.approx(kept_loss, rel=1e-6)
    assert_same(kept, gradients, 1e-4)
    assert torch.equal(kept_next, following)
    assert loss != pytest.approx(step(model, budget, cached=True)[0], rel=1e-4)


def test_cached_backward_holds_one_sub_batch_of_activations(
    model: M3Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts are first encoded without a graph; with one, each group once and alone."""
    calls: list[tuple[bool, int]] = []
    forward = M3Model.forward

    def spy(self: M3Model, ids: torch.Tensor, mask: torch.Tensor) -> object:
        calls.append((torch.is_grad_enabled(), ids.numel()))
        return forward(self, ids, mask)

    monkeypatch.setattr(M3Model, "forward", spy)
    step(model, 300, cached=True)
    half = len(calls) // 2
    assert half >= 3
    assert [with_graph for with_graph, _ in calls] == [False] * half + [True] * half
    assert [size for _, size in calls[:half]] == [size for _, size in calls[half:]]
    assert all(size <= 300 for _, size in calls)


@pytest.mark.parametrize("budget", [300, WHOLE])
def test_frozen_encoder_gets_no_gradient(model: M3Model, budget: int) -> None:
    """In the heads' phase only the two heads learn, cached or not."""
    _, free, _ = step(model, WHOLE, cached=False)
    model.encoder.requires_grad_(False)
    _, gradients, _ = step(model, budget, cached=True)
    assert {n.partition(".")[0] for n, g in gradients.items() if g is not None} == {
        "sparse_linear",
        "colbert_linear",
    }
    heads = {n: g for n, g in free.items() if not n.startswith("encoder.")}
    assert_same(heads, {n: gradients[n] for n in heads}, 1e-4)


def test_loss_is_the_objective_of_all_scores(model: M3Model) -> None:
    """Two padded tensors, all scores and the mask of false negatives give the same number."""
    batch = questions()
    queries, passages = tokenize_batch(model, batch)
    with torch.no_grad():
        scores = all_scores(model(*model.pad(queries)), model(*model.pad(passages)))
    targets = torch.tensor(batch.targets)
    keys = torch.tensor([[*k, -1][:2] for k in batch.positive_keys])
    excluded = false_negatives(torch.tensor(batch.passage_keys), keys, targets)
    assert excluded.nonzero().tolist() == [[0, 1]]
    expected = m3_loss(scores, targets, LOSS, excluded)
    loss, _, _ = step(model, 300, cached=True)
    assert loss == pytest.approx(float(expected.total), rel=1e-5)


def test_gradients_accumulate(model: M3Model) -> None:
    """A second backward adds to the first, as `backward` of torch does."""
    _, once, _ = step(model, 300, cached=True)
    batch = questions()
    backward(model, batch, tokenize_batch(model, batch), LOSS, 300, cached=True)
    twice = {n: p.grad for n, p in model.named_parameters()}
    assert_same({n: None if g is None else 2 * g for n, g in once.items()}, twice, 1e-4)


def test_tokenize_batch_puts_each_sides_prompt(tiny_encoder: str) -> None:
    """Queries and passages are tokenized as such."""
    config = ModelConfig(
        max_query_tokens=64, max_passage_tokens=64, query_prompt="q: ", passage_prompt="p: "
    )
    model = load(tiny_encoder, config)
    batch = TextBatch(["1"], ["the"], ["sea"], [text_key("sea")], [[text_key("sea")]], [0])
    queries, passages = tokenize_batch(model, batch)
    assert queries == [model.tokenizer("q: the")["input_ids"]]
    assert passages == [model.tokenizer("p: sea")["input_ids"]]
