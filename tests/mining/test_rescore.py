"""Second scores of pairs: those of train.scoring, and those of a classifier, pair by pair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from curation.errors import ConfigError, InputError
from mining import rescore
from mining.cross_encoder import CrossScores
from mining.encode_config import EncodeConfig
from mining.encode_parts import PartEncoder
from mining.pool import Pool
from mining.rescore import HybridScores
from tests.builders import articles
from tests.mining.pools import pool_of, row
from train.checkpoint import load
from train.config import ModelConfig
from train.scoring import all_scores, weighted_sum

torch.set_num_threads(1)
WEIGHTS = (1.0, 0.3, 0.7)


@pytest.fixture(scope="module")
def pool() -> Pool:
    found = enumerate([*articles("en", 5), *articles("fr", 4)])
    asked = "Who keeps {0}, {0}?"
    return pool_of(*(row(n, asked.format(a["title"]), [a["text"]]) for n, a in found))


@pytest.fixture(scope="module")
def encoder(tiny_encoder: str, tmp_path_factory: pytest.TempPathFactory) -> PartEncoder:
    model = load(tiny_encoder, ModelConfig(max_query_tokens=16, max_passage_tokens=48))
    torch.nn.init.normal_(model.sparse_linear.weight, generator=torch.Generator().manual_seed(1))
    config = EncodeConfig(device="cpu", dtype="fp32", batch_tokens=150)
    return PartEncoder.of(model, config, str(tmp_path_factory.mktemp("vectors")), lambda _: None)


def all_pairs(pool: Pool) -> tuple[np.ndarray, np.ndarray]:
    size = len(pool.passages)
    return np.repeat(np.arange(len(pool)), size), np.tile(np.arange(size), len(pool))


def test_hybrid_is_the_weighted_sum_of_the_heads(pool: Pool, encoder: PartEncoder) -> None:
    """Repeated query tokens count once; a pair's score depends on no other pair."""
    model = encoder.model
    with torch.no_grad():
        queries, passages = (
            model(*model.pad(model.tokenize(texts[:], is_query=is_query)))
            for texts, is_query in ((pool.queries, True), (pool.passages, False))
        )
        expected = weighted_sum(all_scores(queries, passages), WEIGHTS).numpy()
    rows, numbers = all_pairs(pool)
    score = HybridScores(pool, encoder, WEIGHTS)
    found = score(rows, numbers).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, atol=2e-3)  # token vectors of queries are fp16
    order = np.random.default_rng(0).permutation(len(rows))[:30]
    np.testing.assert_allclose(score(rows[order], numbers[order]), found.ravel()[order], atol=1e-4)


def test_hybrid_in_small_pieces(
    pool: Pool, encoder: PartEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few queries held and few products at once give the same."""
    rows, numbers = all_pairs(pool)
    score = HybridScores(pool, encoder, WEIGHTS)
    whole = score(rows, numbers)
    monkeypatch.setattr(rescore, "_QUERY_NUMBERS", 2 * 16 * 32)
    monkeypatch.setattr(rescore, "_PRODUCTS", 3 * 16 * 48)
    np.testing.assert_allclose(score(rows, numbers), whole, atol=1e-4)


def classifier(tiny_encoder: str, folder: Path, outputs: int) -> str:
    """A sequence classifier with random weights, spread widely enough to differ."""
    torch.manual_seed(3)
    config = AutoConfig.from_pretrained(tiny_encoder, num_labels=outputs)
    model = AutoModelForSequenceClassification.from_config(config)
    for parameter in model.classifier.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_encoder).save_pretrained(folder)
    return str(folder)


def opened(folder: str, pool: Pool, **options: Any) -> CrossScores:
    values: dict[str, Any] = {"max_tokens": 40, "batch_tokens": 100, "dtype": "fp32"} | options
    return CrossScores.open(folder, pool, device=torch.device("cpu"), **values)


@pytest.mark.parametrize("outputs", [1, 2])
def test_cross_encoder_scores_pairs(
    pool: Pool, tiny_encoder: str, tmp_path: Path, outputs: int
) -> None:
    """Each score is that of the pair alone, cut at `max_tokens`."""
    score = opened(classifier(tiny_encoder, tmp_path, outputs), pool)
    rows, numbers = np.array([0, 3, 8, 0]), np.array([5, 5, 0, 1])
    found = score(rows, numbers)
    for got, query, passage in zip(found, rows.tolist(), numbers.tolist(), strict=True):
        batch = score.tokenizer(
            pool.queries[query],
            pool.passages[passage],
            truncation="longest_first",
            max_length=40,
            return_tensors="pt",
        )
        with torch.no_grad():
            logits = score.model(**batch).logits[0]
        expected = logits[0] if outputs == 1 else logits[1] - logits[0]
        assert got == pytest.approx(float(expected), abs=1e-4)
    assert np.ptp(found) > 0.01


def test_a_classifier_of_three_is_refused(pool: Pool, tiny_encoder: str, tmp_path: Path) -> None:
    """And so is a folder without a model; both name the option."""
    with pytest.raises(ConfigError, match="has 3 outputs; it takes a model of one"):
        opened(classifier(tiny_encoder, tmp_path / "three", 3), pool)
    with pytest.raises(InputError, match=r"mining\.rescore\.cross_encoder"):
        opened(str(tmp_path / "nothing"), pool)
