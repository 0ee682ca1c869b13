"""Masked auto-encoding: what is hidden from whom, what is predicted, and that it learns."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import ConfigError
from curation.records import DOCUMENT, Document, to_table
from curation.storage import write_parquet
from tests.builders import articles
from tests.train.processes import CONFIG, run_processes
from tests.train.steps import gradients_of, largest_difference, set_dropout
from train import packing, retromae
from train.checkpoint import load
from train.chunked import weighted_cross_entropy
from train.config import ModelConfig, TrainConfig
from train.data import shards_of
from train.masks import hidden_tokens, uniform, visible_tokens
from train.model import M3Model
from train.phase_run import Hooks
from train.plan import Phase, plan_phases
from train.retromae import AutoEncoding
from train.stage_config import StageConfig
from train.streams import Shard
from train.trainer import Trainer
from train.work import Work

torch.set_num_threads(1)

MODEL = ModelConfig(max_query_tokens=64, max_passage_tokens=200)
ROWS: list[dict[str, Any]] = [
    {"id": f"d{i}", "text": (article["text"] + " ") * (1 + i % 3)}
    for i, article in enumerate(articles("en", 6))
]
LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=5)


def phase_of(stage: StageConfig, **settings: Any) -> Phase:
    shards = [Shard("a", 0, 12)]
    return plan_phases({"documents": shards}, TrainConfig(stages=(stage,), **settings))[0]


def task_of(model: M3Model, **options: Any) -> AutoEncoding:
    set_dropout(model, 0.0)
    model.train()
    return AutoEncoding(model, phase_of(StageConfig(kind="retromae", **options), precision="fp32"))


def gradients(task: AutoEncoding) -> dict[str, torch.Tensor]:
    modules = (("model", task.model), ("decoder", task.helper))
    return {
        f"{name}.{n}": p.grad.clone()
        for name, module in modules
        for n, p in module.named_parameters()
        if p.grad is not None
    }


def real_tokens(lengths: Sequence[int]) -> torch.Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


@settings(deadline=None, max_examples=60)
@given(LENGTHS, st.floats(0.01, 0.9), st.integers(0, 1 << 62))
def test_a_share_of_the_maskable_tokens_is_hidden(
    lengths: list[int], share: float, seed: int
) -> None:
    """Exactly round(share · n), one at least, none that may not be; padding changes nothing."""
    maskable = real_tokens(lengths)
    maskable[:, 0] = False
    seeds = torch.arange(len(lengths)) + seed
    hidden = hidden_tokens(maskable, seeds, share)
    assert not (hidden & ~maskable).any()
    for row, length in zip(hidden, lengths, strict=True):
        count = length - 1
        assert int(row.sum()) == min(count, max(1, round(np.float32(count) * np.float32(share))))
    padded = torch.nn.functional.pad(maskable, (0, 7))
    assert torch.equal(hidden_tokens(padded, seeds, share)[:, : hidden.shape[1]], hidden)


def naive_uniform(seed: int, use: int, *positions: int) -> float:
    """The same number by Python's integers."""

    def mixed(value: int) -> int:
        for _ in range(2):
            value = ((value >> 16) ^ value) * 0x45D9F3B % 2**32
        return (value >> 16) ^ value

    value = mixed(seed % 2**32) ^ mixed((seed >> 32) % 2**32 + use)
    for position in positions:
        value = mixed((value + position * 0x9E3779B1) % 2**32)
    return value / 2**32


def naive_visible(lengths: Sequence[int], seeds: Sequence[int], share: float) -> list[Any]:
    """M of the paper: position i sees place 0, and j with probability 1 - share unless j = i."""
    width = max(lengths)
    return [
        [
            [
                j == 0 or (j != i and j < length and naive_uniform(seed, 2, i, j) >= share)
                for j in range(width)
            ]
            for i in range(width)
        ]
        for length, seed in zip(lengths, seeds, strict=True)
    ]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=3), st.floats(0.05, 0.95), st.data())
def test_decoding_mask_is_that_of_the_definition(
    lengths: list[int], share: float, data: st.DataObject
) -> None:
    """Against loops over texts and positions, asked in chunks."""
    seeds = [data.draw(st.integers(0, 2**63 - 1)) for _ in lengths]
    width = max(lengths)
    cut = data.draw(st.integers(0, width))
    parts = [
        visible_tokens(real_tokens(lengths), torch.tensor(seeds), places, share)
        for places in (torch.arange(cut), torch.arange(cut, width))
    ]
    assert torch.cat(parts, dim=1).tolist() == naive_visible(lengths, seeds, share)


def test_masks_are_random() -> None:
    """Shares are met, and neither texts, positions nor uses resemble each other."""
    seeds = torch.arange(40)[:, None, None]
    drawn = uniform(seeds, 2, torch.arange(64)[:, None], torch.arange(64))
    assert float(drawn.mean()) == pytest.approx(0.5, abs=0.005)
    assert float((drawn < 0.3).double().mean()) == pytest.approx(0.3, abs=0.005)
    others = [drawn.roll(1, axis) for axis in range(3)]
    others += [
        drawn.transpose(1, 2),
        uniform(seeds, 1, torch.arange(64)[:, None], torch.arange(64)),
    ]
    for other in others:
        both = torch.stack([drawn.flatten(), other.flatten()])
        assert abs(float(torch.corrcoef(both)[0, 1])) < 0.06
    assert float(drawn.unique().numel() / drawn.numel()) > 0.99


@pytest.mark.parametrize("max_elements", [1, 100, 1 << 20], ids=["rows", "some", "at once"])
@pytest.mark.parametrize("frozen", [False, True], ids=["all", "frozen words"])
def test_chunked_cross_entropy_is_exact(max_elements: int, frozen: bool) -> None:
    """Loss and every gradient, against the whole matrix in fp64."""
    torch.manual_seed(0)
    shapes = (9, 5), (40, 5), (40,)
    values = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    values[1].requires_grad_(not frozen)
    labels, scales = torch.randint(0, 40, (9,)), torch.rand(9, dtype=torch.float64)
    total, losses = weighted_cross_entropy(
        values[0], labels, scales, values[1], values[2], max_elements
    )
    (total * 3).backward()
    found = [value.grad for value in values]
    for value in values:
        value.grad = None
    expected = torch.nn.functional.cross_entropy(
        values[0] @ values[1].T + values[2], labels, reduction="none"
    )
    ((expected * scales).sum() * 3).backward()
    torch.testing.assert_close(losses, expected.detach())
    torch.testing.assert_close(total, (expected * scales).sum())
    for one, value in zip(found, values, strict=True):
        assert (one is None) == (value.grad is None)
        if one is not None and value.grad is not None:
            torch.testing.assert_close(one, value.grad)
    assert not losses.requires_grad


def read(task: AutoEncoding, rows: list[dict[str, Any]] = ROWS) -> Work:
    return task.read(rows, np.random.default_rng(0))


def test_every_hidden_token_is_predicted_and_all_by_the_decoder(
    tiny_encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels are the tokens of the text, once by the encoder if hidden, once by the decoder."""
    model = load(tiny_encoder, MODEL)
    task, labels, inputs = task_of(model, encoder_mask=0.3), [], []
    inner, encode = retromae.weighted_cross_entropy, model.encoder.forward

    def recorded(states: Any, wanted: torch.Tensor, *rest: Any) -> Any:
        labels.append(wanted)
        return inner(states, wanted, *rest)

    def seen(input_ids: torch.Tensor, **rest: Any) -> Any:
        inputs.append(input_ids)
        return encode(input_ids=input_ids, **rest)

    monkeypatch.setattr(retromae, "weighted_cross_entropy", recorded)
    monkeypatch.setattr(model.encoder, "forward", seen)
    monkeypatch.setattr(packing, "is_packable", lambda *_: False)
    work = read(task)
    loss = task.backward(work, 1 << 20)
    (ids,), (wanted,) = inputs, labels
    texts = sorted(work.tokens[0], key=len, reverse=True)
    originals = model.pad(texts)[0]
    hidden = ids == model.tokenizer.mask_token_id
    inside = torch.stack([originals != i for i in model.get_buffer("unweighted")]).all(0)
    assert torch.equal(ids[~hidden], originals[~hidden])
    assert not (hidden & ~inside).any()
    assert hidden.sum(1).tolist() == [round(0.3 * int(row.sum())) for row in inside]
    assert torch.equal(wanted, torch.cat([originals[hidden], originals[inside]]))
    assert loss.counts == {"hidden": int(hidden.sum()), "predicted": int(inside.sum())}
    assert loss.total == pytest.approx(sum(loss.parts.values()))
    assert list(loss.parts) == ["encoder", "decoder"]


def test_the_vector_takes_the_decoders_gradient(tiny_encoder: str) -> None:
    """What the decoder says of a text reaches the encoder through its first state alone."""
    model = load(tiny_encoder, MODEL)
    task = task_of(model)
    states: list[torch.Tensor] = []
    encode = model.states

    def recorded(ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden, _ = encode(ids, mask)
        hidden.retain_grad()
        states.append(hidden)
        return hidden, hidden[:, 0]

    model.states = recorded  # type: ignore[method-assign]
    work = read(task)
    task.backward(work, 1 << 20)
    gradient = states[0].grad
    assert gradient is not None
    moved = gradient.abs().sum(2) > 0
    assert moved[:, 0].all(), "no gradient through the bottleneck"
    counts = moved[:, 1:].sum(1)
    special = set(model.get_buffer("unweighted").tolist())
    texts = sorted(work.tokens[0], key=len, reverse=True)
    hidden = [round(0.3 * sum(i not in special for i in row)) for row in texts]
    assert counts.tolist() == hidden, "only hidden tokens have a state that is asked for"


def test_each_text_is_masked_anew_in_each_step(tiny_encoder: str) -> None:
    """By its id and the step's generator, not by its place in the batch."""
    task = task_of(load(tiny_encoder, MODEL))
    first, again = read(task), read(task, ROWS[::-1])
    assert list(first.seeds) == list(again.seeds)[::-1]
    other = task.read(ROWS, np.random.default_rng(1))
    assert not set(first.seeds) & set(other.seeds)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_sub_batches_and_chunks_change_nothing(
    tiny_encoder: str, pooling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loss and every gradient of texts encoded one by one, in chunks of a few positions."""
    config = replace(MODEL, pooling=pooling)
    whole = task_of(load(tiny_encoder, config))
    loss = whole.backward(read(whole), 1 << 20)
    monkeypatch.setattr(retromae, "_MAX_ELEMENTS", 8000)
    parts = task_of(load(tiny_encoder, config))
    found = parts.backward(read(parts), 64)
    assert found.parts == pytest.approx(loss.parts, rel=1e-5)
    expected, given = gradients(whole), gradients(parts)
    assert expected.keys() == given.keys()
    assert "model.encoder.embeddings.word_embeddings.weight" in given
    assert not any("linear" in name for name in given), "heads have no part in this"
    for name, gradient in expected.items():
        if not name.endswith("key.bias"):  # softmax cancels it: its gradient is rounding noise
            torch.testing.assert_close(given[name], gradient, rtol=1e-3, atol=1e-6, msg=name)


def auto_encoded(case: dict[str, Any], model: M3Model, rank: int) -> Any:
    """Take the gradients of a process's own documents; budgets differ."""
    task = task_of(model)
    work = task.read(case["rows"][rank], np.random.default_rng(0))
    return task.backward(work, (90, 1 << 20)[rank])


def test_two_processes_equal_one(tiny_encoder: str, tmp_path: Path) -> None:
    """Loss, counts and every gradient of the model, however the documents are dealt out."""
    whole = task_of(load(tiny_encoder, CONFIG))
    loss = whole.backward(read(whole), 1 << 20)
    expected = gradients_of(whole.model)
    case = {"rows": [ROWS[:1], ROWS[1:]]}
    for (found, own), *_ in run_processes(tmp_path, tiny_encoder, 2, [case], step=auto_encoded):
        assert found.parts == pytest.approx(loss.parts, rel=1e-5)
        assert found.counts == loss.counts
        assert largest_difference(expected, own) < 1e-4


def test_long_text_is_cut_and_counted(tiny_encoder: str) -> None:
    """At the stage's limit, if it is lower than the model's."""
    rows = [{"id": "a", "text": "short"}, {"id": "b", "text": "many words " * 200}]
    for limit, expected in ((0, 200), (50, 50), (400, 200)):
        work = read(task_of(load(tiny_encoder, MODEL), max_passage_tokens=limit), rows)
        assert max(map(len, work.tokens[0])) == expected
        assert work.cut == 1


def test_tokenizer_without_a_mask_is_refused(tiny_encoder: str) -> None:
    """There is nothing to hide tokens with."""
    model = load(tiny_encoder, MODEL)
    model.tokenizer.mask_token = None
    with pytest.raises(ConfigError, match="has no mask token; leave the stage out or take another"):
        task_of(model)


def test_loss_falls_and_the_vector_learns_the_text(tiny_encoder: str, tmp_path: Path) -> None:
    """Both losses fall on a tiny corpus; the heads stay, the decoder is no part of the model."""
    documents = [
        Document(str(i), "s", "", article["text"], text_hash=bytes(16))
        for i, article in enumerate(articles("en", 12))
    ]
    part = write_parquet(str(tmp_path / "part-0.parquet"), to_table(documents, DOCUMENT))
    shards = shards_of(str(tmp_path), {"parts": [part]}, by_length=False)
    stage = StageConfig(kind="retromae", learning_rate=5e-3, batch_sizes=(12,) * 9, epochs=25)
    config = TrainConfig(stages=(stage,), batch_tokens=700, dropout=0.0, precision="fp32")
    model, fresh = load(tiny_encoder, MODEL), load(tiny_encoder, MODEL)
    reports: list[Any] = []
    phases = plan_phases({"documents": shards}, config)
    log = str(tmp_path / "reports" / "train.jsonl")
    hooks = Hooks(on_line=reports.append)
    Trainer(model, config, phases, str(tmp_path / "state"), log, hooks).run()
    for name, first in reports[0].parts.items():
        assert reports[-1].parts[name] < 0.75 * first, (name, first, reports[-1].parts[name])
    assert model.state_dict().keys() == fresh.state_dict().keys()
    for head in ("sparse_linear", "colbert_linear"):
        for one, other in zip(
            model.get_submodule(head).parameters(),
            fresh.get_submodule(head).parameters(),
            strict=True,
        ):
            assert torch.equal(one, other)


def test_masks_take_memory_for_a_chunk(tiny_encoder: str) -> None:
    """A batch is read without (length, length) lists: under 1 MB for texts of 200 tokens."""
    task = task_of(load(tiny_encoder, MODEL))
    rows = [{"id": str(i), "text": "many words " * 200} for i in range(16)]
    read(task, rows)
    tracemalloc.start()
    read(task, rows)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
