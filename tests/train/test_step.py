"""Gradients of a step: the same whatever the sub-batches, the memory and the order of texts."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from curation.errors import ConfigError
from tests.train.steps import (
    LOSS,
    WHOLE,
    gradients_of,
    largest_difference,
    questions,
    rows_of_questions,
    run_step,
)
from train.checkpoint import load
from train.config import ModelConfig
from train.data import TextBatch, text_key
from train.loss_config import LossConfig
from train.losses import m3_loss
from train.model import M3Model
from train.negatives import Share, columns, false_negatives
from train.passes import Passes
from train.scoring import all_scores, multi_vector_scores
from train.step import Execution, backward, tokenize_batch

torch.set_num_threads(1)

CONFIG = ModelConfig(max_query_tokens=64, max_passage_tokens=256)
PLAIN = Execution(budget=WHOLE, memory="plain")
MEMORIES = ("cache", "checkpoint", "plain")
LOSSES = {
    "paper": LOSS,
    "no distillation": replace(LOSS, self_distillation=False),
    "dense only": LossConfig(temperature=0.2, heads=("dense",)),
    "sparse and multi-vector": LossConfig(temperature=0.2, heads=("sparse", "multi_vector")),
    "everything": LossConfig(
        temperature=0.2,
        preset="simple",
        matryoshka=(32, 16, 8),
        teacher="kl",
        teacher_temperature=0.3,
        false_negative_margin=0.05,
    ),
}


@pytest.fixture
def model(tiny_encoder: str) -> M3Model:
    return load(tiny_encoder, CONFIG)


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("budget", [1, 100, 300, 1000])
def test_sub_batches_do_not_change_loss_or_gradients(
    model: M3Model, budget: int, memory: str
) -> None:
    """From one text at a time to nearly all, the gradient is that of the whole batch."""
    whole, plain = run_step(model, questions(), PLAIN)
    found, gradients = run_step(model, questions(), Execution(budget=budget, memory=memory))
    assert found.total == pytest.approx(whole.total, rel=1e-5)
    assert found.parts == pytest.approx(whole.parts, rel=1e-5)
    assert largest_difference(plain, gradients) < 1e-4
    assert sum(float(g.abs().sum()) > 0 for g in plain.values() if g is not None) > 30


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("budget", [300, 1], ids=["sub-batches", "layer by layer"])
@pytest.mark.parametrize("memory", ["cache", "checkpoint"])
def test_memory_does_not_change_any_loss(
    model: M3Model, memory: str, budget: int, loss: LossConfig
) -> None:
    """With dropout, all heads and all losses: the second encoding repeats the first."""
    kept, plain = run_step(
        model, questions(), Execution(budget=budget, memory="plain"), loss, dropout=0.3
    )
    following = torch.rand(3)
    found, gradients = run_step(
        model, questions(), Execution(budget=budget, memory=memory), loss, dropout=0.3
    )
    assert found.total == pytest.approx(kept.total, rel=1e-6)
    assert largest_difference(plain, gradients) < 1e-4
    assert torch.equal(following, torch.rand(3))
    other = run_step(model, questions(), Execution(budget=300), loss)[0].total
    assert found.total != pytest.approx(other, rel=1e-4)


@pytest.mark.parametrize("memory", ["cache", "checkpoint"])
def test_memory_does_not_change_the_result_in_bf16(model: M3Model, memory: str) -> None:
    """Under autocast too; the scores stay fp32, so the loss is near that of fp32."""
    how = Execution(budget=300, memory="plain", dtype="bf16")
    kept, plain = run_step(model, questions(), how, dropout=0.3)
    found, gradients = run_step(model, questions(), replace(how, memory=memory), dropout=0.3)
    exact, _ = run_step(model, questions(), replace(how, dtype="fp32"), dropout=0.3)
    assert found.total == pytest.approx(kept.total, rel=1e-6)
    assert largest_difference(plain, gradients) < 1e-4
    assert found.total == pytest.approx(exact.total, rel=0.02)
    assert found.total != exact.total


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_slices_of_queries_do_not_change_the_result(model: M3Model, loss: LossConfig) -> None:
    """One query at a time, as a large batch is scored, gives the sum over all."""
    whole, plain = run_step(model, questions(), PLAIN, loss)
    found, gradients = run_step(model, questions(), replace(PLAIN, max_pairs=1), loss)
    assert found.parts == pytest.approx(whole.parts, rel=1e-5)
    assert found.counts == whole.counts
    assert largest_difference(plain, gradients) < 1e-4


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_order_of_rows_does_not_matter(model: M3Model, loss: LossConfig) -> None:
    """A shuffled batch has the same loss and gradients."""
    rows = rows_of_questions()
    mixed = random.Random(3).sample(rows, len(rows))
    plain = run_step(model, collated(rows), PLAIN, loss)
    found = run_step(model, collated(mixed), PLAIN, loss)
    assert found[0].total == pytest.approx(plain[0].total, rel=1e-5)
    assert largest_difference(plain[1], found[1]) < 1e-4


def collated(rows: list[dict[str, object]]) -> TextBatch:
    batch = questions(rows)
    return replace(batch, positive_keys=[keys[:2] for keys in batch.positive_keys])


def test_cached_backward_holds_one_sub_batch_of_activations(
    model: M3Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All groups but one are encoded without a graph, then with one; the first once, in between."""
    calls: list[tuple[bool, int]] = []
    forward = M3Model.forward

    def spy(self: M3Model, ids: torch.Tensor, mask: torch.Tensor) -> object:
        calls.append((torch.is_grad_enabled(), ids.numel()))
        return forward(self, ids, mask)

    monkeypatch.setattr(M3Model, "forward", spy)
    run_step(model, questions(), Execution(budget=300))
    half = len(calls) // 2
    assert half >= 3
    assert [with_graph for with_graph, _ in calls] == [False] * half + [True] * (half + 1)
    assert [size for _, size in calls[:half]] == [size for _, size in calls[:half:-1]]
    assert all(size <= 300 for _, size in calls)


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("budget", [300, WHOLE])
def test_frozen_encoder_gets_no_gradient(model: M3Model, budget: int, memory: str) -> None:
    """In the heads' phase only the two heads learn."""
    _, free = run_step(model, questions(), PLAIN)
    model.encoder.requires_grad_(False)
    _, gradients = run_step(model, questions(), Execution(budget=budget, memory=memory))
    assert {n.partition(".")[0] for n, g in gradients.items() if g is not None} == {
        "sparse_linear",
        "colbert_linear",
    }
    heads = {n: g for n, g in free.items() if not n.startswith("encoder.")}
    assert largest_difference(heads, {n: gradients[n] for n in heads}) < 1e-4


def test_loss_is_the_objective_of_all_scores(model: M3Model) -> None:
    """Two padded tensors, all scores and the mask of false negatives give the same number."""
    batch = questions()
    queries, passages = tokenize_batch(model, batch)
    with torch.no_grad():
        scores = all_scores(model(*model.pad(queries)), model(*model.pad(passages)))
    plan = columns([Share.of(batch)], 0)
    excluded = false_negatives(plan.keys, plan.known, batch.targets)
    assert excluded.nonzero().tolist() == [[0, 1]]
    expected = m3_loss(scores, torch.tensor(batch.targets), LOSS, excluded)
    found, _ = run_step(model, batch, Execution(budget=300))
    assert found.total == pytest.approx(float(expected.total), rel=1e-5)
    assert found.counts == {
        "queries": 5,
        "passages": len(batch.passages),
        "masked": 1,
        "taught": 0,
        "untaught": 0,
        "weightless": 0,
    }


def test_texts_without_a_sparse_weight_are_counted(model: M3Model) -> None:
    """A bias far below 0 kills the head; one token's weight brings its texts back."""
    batch = questions()
    texts = len(batch.queries) + len(batch.passages)
    with torch.no_grad():
        model.sparse_linear.bias.fill_(-1e3)
    found, _ = run_step(model, batch, Execution(budget=300))
    assert found.counts["weightless"] == texts
    with torch.no_grad():
        model.sparse_linear.bias.fill_(0.2)
    assert run_step(model, batch, PLAIN)[0].counts["weightless"] == 0


def test_rows_without_teacher_scores_are_counted(model: M3Model) -> None:
    """The last row has none: its query learns from the rest of the loss only."""
    loss = replace(LOSS, teacher="kl")
    found, _ = run_step(model, questions(), PLAIN, loss)
    assert (found.counts["taught"], found.counts["untaught"]) == (4, 1)
    bare = replace(questions(), teacher_columns=[[]] * 5, teacher_scores=[[]] * 5)
    without, _ = run_step(model, bare, PLAIN, loss)
    assert (without.counts["taught"], without.counts["untaught"]) == (0, 5)
    assert without.parts.get("teacher", 0.0) == 0.0
    assert without.total == pytest.approx(run_step(model, bare, PLAIN)[0].total, rel=1e-6)


def test_width_beyond_the_encoder_is_refused(model: M3Model) -> None:
    """The tiny encoder has 32."""
    with pytest.raises(ConfigError, match=r"matryoshka: 64 is wider than the encoder's 32"):
        run_step(model, questions(), PLAIN, replace(LOSS, matryoshka=(64,)))


def test_gradients_accumulate(model: M3Model) -> None:
    """A second backward adds to the first, as `backward` of torch does."""
    how = Execution(budget=300)
    _, once = run_step(model, questions(), how)
    batch = questions()
    backward(model, batch, tokenize_batch(model, batch), LOSS, how)
    doubled = {n: None if g is None else 2 * g for n, g in once.items()}
    assert largest_difference(doubled, gradients_of(model)) < 1e-4


def test_padding_has_no_effect_on_scores(model: M3Model) -> None:
    """Texts encoded alone score as those padded to the longest."""
    batch = questions()
    queries, passages = (
        [model(*model.pad([row])) for row in rows] for rows in tokenize_batch(model, batch)
    )
    together = [model(*model.pad(list(rows))) for rows in tokenize_batch(model, batch)]
    padded = multi_vector_scores(*together)
    for i, query in enumerate(queries):
        for j, passage in enumerate(passages):
            alone = multi_vector_scores(query, passage)
            torch.testing.assert_close(alone[0, 0], padded[i, j], atol=1e-5, rtol=1e-5)


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


@pytest.mark.parametrize("before", [False, True], ids=["fresh", "accumulating"])
@pytest.mark.parametrize("memory", MEMORIES)
def test_rows_of_the_table_alone_take_gradients(
    tiny_encoder: str, memory: str, before: bool
) -> None:
    """Of a table much larger than the batch: the same dense gradient, no table-sized sums."""
    model = load(tiny_encoder, CONFIG)
    embeddings = model.encoder.embeddings
    old = embeddings.word_embeddings
    large = torch.nn.Embedding(5000, 32, padding_idx=old.padding_idx)
    large.weight.data[: len(old.weight)] = old.weight.data
    shapes: list[bool] = []
    results = []
    for table in (old, large):
        embeddings.word_embeddings = table
        hook = table.weight.register_hook(lambda g: shapes.append(g.is_sparse))
        _, gradients = run_step(model, questions(), Execution(budget=300, memory=memory))
        if before:
            batch = questions()
            tokens = tokenize_batch(model, batch)
            backward(model, batch, tokens, LOSS, Execution(budget=300, memory=memory))
            gradients = gradients_of(model)
        results.append(gradients)
        hook.remove()
    half = len(shapes) // 2
    assert shapes == [False] * half + [True] * half
    assert half >= 3
    name = "encoder.embeddings.word_embeddings.weight"
    found = results[1][name]
    assert found is not None
    assert not found.is_sparse
    assert not found[len(old.weight) :].any()
    assert not large.sparse
    results[1][name] = found[: len(old.weight)]
    assert largest_difference(*results) < 1e-4


def test_a_long_text_keeps_its_layers_inputs_only(model: M3Model) -> None:
    """A text above `longest` saves less than a third for the backward pass; others as before."""
    rows = model.tokenize(["a long text about the sea and the hills " * 40], is_query=False)
    groups = [np.array([0])]

    def bytes_kept(longest: int) -> int:
        saved: list[int] = []

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            saved.append(tensor.numel() * tensor.element_size())
            return tensor

        passes = Passes(model.train(), rows, groups, ("dense",), "cache", "fp32", longest)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            passes.forward()
        return sum(saved)

    assert bytes_kept(len(rows[0]) - 1) < bytes_kept(len(rows[0])) / 3
