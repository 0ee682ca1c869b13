"""Texts to vectors: the same for any budget and window, in the precision that was measured."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from mining import encode
from mining.encode import autocast, best_device, encode_batches, encode_dense, probe_dtype
from tests.builders import articles
from train.checkpoint import load
from train.config import ModelConfig
from train.model import M3Model

torch.set_num_threads(1)

TEXTS = [*(row["text"] for row in articles("es", 6)), "mar", "", "el faro", "la lámpara del puerto"]


@pytest.fixture(scope="module")
def model(tiny_encoder: str) -> M3Model:
    return load(
        tiny_encoder,
        ModelConfig(max_query_tokens=16, max_passage_tokens=128, passage_prompt="p: "),
    )


def alone(model: M3Model, text: str, *, is_query: bool = False) -> np.ndarray:
    with torch.no_grad():
        return model(*model.pad(model.tokenize([text], is_query=is_query))).dense[0].numpy()


@pytest.mark.parametrize("window", [3, 4096], ids=["windows of 3", "one window"])
@pytest.mark.parametrize("budget", [16, 100, 100_000])
def test_vectors_do_not_depend_on_budget_or_window(
    model: M3Model, monkeypatch: pytest.MonkeyPatch, budget: int, window: int
) -> None:
    """Row i is text i encoded alone; an empty text has its vector too."""
    monkeypatch.setattr(encode, "_WINDOW", window)
    found = encode_dense(model, TEXTS, is_query=False, budget=budget, dtype="fp32")
    assert found.dtype == np.float32
    assert found.shape == (10, 32)
    for row, text in zip(found, TEXTS, strict=True):
        np.testing.assert_allclose(row, alone(model, text), atol=1e-5)


def test_queries_are_encoded_as_queries(model: M3Model) -> None:
    """They have no prompt here and are cut at 16 tokens."""
    found = encode_dense(model, TEXTS[:1], is_query=True, budget=100, dtype="fp32")
    np.testing.assert_allclose(found[0], alone(model, TEXTS[0], is_query=True), atol=1e-5)
    assert np.abs(found[0] - alone(model, TEXTS[0])).max() > 0.01


def test_token_vectors_are_made_where_they_are_asked_for(model: M3Model) -> None:
    """Without them dense and sparse are the same bits, and token vectors have no width."""
    batch = model.pad(model.tokenize(TEXTS, is_query=False))
    with torch.no_grad():
        whole, lean = model(*batch), model(*batch, multi_vector=False)
    assert lean.vectors.shape == (*batch[0].shape, 0)
    assert whole.vectors.shape == (*batch[0].shape, 32)
    for name in ("dense", "weights", "ids", "mask"):
        assert torch.equal(getattr(lean, name), getattr(whole, name))


def test_no_texts_give_no_vectors(model: M3Model) -> None:
    """An empty list is no error."""
    found = encode_dense(model, [], is_query=False, budget=100, dtype="fp32")
    assert found.shape == (0, 32)


def test_batches_keep_the_budget_and_report(
    model: M3Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each text comes once, padded batches hold 120 tokens, totals add up over windows."""
    monkeypatch.setattr(encode, "_WINDOW", 4)
    lengths = [len(row) for row in model.tokenize(TEXTS, is_query=False)]
    reports: list[tuple[int, int]] = []
    seen: list[int] = []
    for indices, part in encode_batches(
        model,
        TEXTS,
        is_query=False,
        budget=120,
        dtype="fp32",
        report=lambda done, tokens: reports.append((done, tokens)),
    ):
        assert part.ids.numel() <= 120
        assert (part.mask.sum(1) + 1).tolist() == [lengths[i] for i in indices.tolist()]
        seen += indices.tolist()
    assert sorted(seen) == list(range(10))
    assert reports == sorted(reports)
    assert reports[-1] == (10, sum(lengths))


def test_encoding_keeps_no_graph(model: M3Model) -> None:
    """Embeddings of inference need no gradient."""
    (_, part), *_ = encode_batches(model, TEXTS, is_query=False, budget=9999, dtype="fp32")
    assert not any(t.requires_grad for t in part.tensors())


def test_bf16_runs_the_encoder_in_bf16(model: M3Model) -> None:
    """Its vectors are near those of fp32, not equal to them; fp32 is what no context gives."""
    exact, short = (
        encode_dense(model, TEXTS, is_query=False, budget=999, dtype=dtype)
        for dtype in ("fp32", "bf16")
    )
    cosines = (exact * short).sum(1)
    assert 0.99 < cosines.min() < 1
    assert np.abs(exact - short).max() > 1e-4
    with autocast(torch.device("cpu"), "fp32"):
        assert not torch.is_autocast_enabled("cpu")
    with autocast(torch.device("cpu"), "bf16"):
        assert torch.get_autocast_dtype("cpu") == torch.bfloat16


@pytest.mark.parametrize(
    ("seconds", "least", "expected"),
    [((2.0, 1.0), 0.9, "bf16"), ((1.05, 1.0), 0.9, "fp32"), ((2.0, 1.0), 1.1, "fp32")],
    ids=["faster and exact", "hardly faster", "faster but inexact"],
)
def test_probe_takes_bf16_only_where_it_is_faster_and_exact(
    model: M3Model,
    monkeypatch: pytest.MonkeyPatch,
    seconds: tuple[float, float],
    least: float,
    expected: str,
) -> None:
    """The clock says what fp32 and bf16 take; the reason names ratio and cosine.

    Of three rounds the last one is disturbed, bf16 more than fp32: it does not count.
    """

    def clock() -> Iterator[float]:
        for disturbed in (1.0, 1.0, 30.0):
            yield from (0.0, seconds[0] * disturbed, 0.0, seconds[1] * disturbed * disturbed)

    ticks = clock()
    monkeypatch.setattr(encode.time, "perf_counter", lambda: next(ticks))
    monkeypatch.setattr(encode, "_MIN_COSINE", least)
    chosen, why = probe_dtype(model)
    assert chosen == expected
    assert why.startswith(f"bf16 runs at {seconds[0]:.2f}x of fp32's speed, cosine 0.99")


def test_best_device_follows_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The accelerator where there is one, else the CPU."""
    for available, expected in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda found=available: found)
        assert best_device().type == expected
