"""Retrieval with all heads, against a plain computation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from curation.splits import SplitConfig
from mining.encode import encode_batches
from pipelines.evaluation.config import EvaluationConfig, EvaluationSet, Weights
from pipelines.evaluation.encoding import Encoder, encode
from pipelines.evaluation.evaluate import evaluate_model
from pipelines.evaluation.models import of_model
from pipelines.evaluation.retrieval import Found, M3Retriever
from pipelines.evaluation.sets import RetrievalSet, load_set
from tests.builders import articles
from tests.pipelines.evaluation.folders import set_of, write_beir
from train import scoring
from train.checkpoint import load
from train.config import ModelConfig
from train.model import M3Model
from train.watch import MODES

PAPER = Weights((1.0, 0.3), (1.0, 0.3, 1.0))


@pytest.fixture(scope="module")
def model(tiny_encoder: str) -> M3Model:
    config = ModelConfig(encoder=tiny_encoder, max_query_tokens=32, max_passage_tokens=64)
    return load(tiny_encoder, config, 0)


def found_by(model: M3Model, data: RetrievalSet, config: EvaluationConfig) -> Found:
    return M3Retriever(Encoder(model, config.batch_tokens, "fp32"), config).find(data)


def pairs(scores: np.ndarray, numbers: np.ndarray, row: int) -> dict[int, float]:
    return {
        n: s for n, s in zip(numbers[row].tolist(), scores[row].tolist(), strict=True) if n >= 0
    }


TEXTS = [article["text"] for article in articles("en", 12)]
QUERIES = [f"Who climbs the stairs of {a['title']}?" for a in articles("en", 4)]


@pytest.mark.parametrize("kept_mb", [100.0, 0.05, 0.0], ids=["all-kept", "some-kept", "none-kept"])
def test_every_mode_scores_as_the_formulas_say(model: M3Model, kept_mb: float) -> None:
    """Runs equal scores computed pair by pair, whether token vectors are kept or made again."""
    config = EvaluationConfig(
        rerank_depth=12, union_depth=12, batch_tokens=128, token_vectors_mb=kept_mb
    )
    runs = found_by(model, set_of(QUERIES, TEXTS), config).runs(PAPER)
    assert tuple(runs) == MODES
    one = {
        side: [
            next(encode_batches(model, [t], is_query=q, budget=64, dtype="fp32"))[1] for t in texts
        ]
        for side, texts, q in (("q", QUERIES, True), ("d", TEXTS, False))
    }
    for number, query in enumerate(one["q"]):
        by_mode = {mode: pairs(*run, number) for mode, run in runs.items()}
        for index, document in enumerate(one["d"]):
            dense = float(query.dense.float() @ document.dense.float().T)
            sparse = float(scoring.sparse_scores(query, document))
            vectors = float(scoring.multi_vector_scores(query, document))
            total = dense + 0.3 * sparse + vectors
            assert by_mode["dense"][index] == pytest.approx(dense, abs=1e-4)
            assert by_mode["sparse"].get(index, 0.0) == pytest.approx(sparse, abs=1e-4)
            assert by_mode["multi-vector"][index] == pytest.approx(vectors, abs=5e-3)
            expected = pytest.approx(dense + 0.3 * sparse, abs=1e-4)
            assert by_mode["dense+sparse"][index] == expected
            assert by_mode["all"][index] == pytest.approx(total, abs=5e-3)


def test_what_is_kept_does_not_show_in_the_scores(model: M3Model) -> None:
    """Token vectors that are encoded again give the very scores of those that were kept."""
    kept, again = (
        found_by(model, set_of(QUERIES, TEXTS), EvaluationConfig(token_vectors_mb=mb))
        for mb in (100.0, 0.0)
    )
    np.testing.assert_allclose(kept.top_scores, again.top_scores, atol=2e-3)
    assert (kept.top == again.top).all()


def test_depths_bound_what_is_ranked(model: M3Model) -> None:
    """Re-rankers see dense's best, the hybrid the union of both heads' best."""
    config = EvaluationConfig(rerank_depth=3, union_depth=5)
    found = found_by(model, set_of(["Who built it?"], TEXTS), config)
    runs = {mode: pairs(*run, 0) for mode, run in found.runs(PAPER).items()}
    best = sorted(runs["dense"], key=lambda i: -runs["dense"][i])
    assert len(best) == 5
    assert set(runs["multi-vector"]) == set(runs["all"]) == set(best[:3])
    assert set(runs["dense+sparse"]) == set(best) | set(runs["sparse"])
    assert len(runs["sparse"]) <= 5


def test_rankings_are_best_first_and_ties_by_number(model: M3Model) -> None:
    """Equal documents tie in every mode, and the first of them comes first."""
    found = found_by(model, set_of(QUERIES, [*TEXTS[:3], *TEXTS[:3]]), EvaluationConfig())
    for scores, numbers in found.runs(PAPER).values():
        for row in range(len(QUERIES)):
            ranked = list(zip((-scores[row]).tolist(), numbers[row].tolist(), strict=True))
            assert ranked == sorted(ranked)


def test_encoding_keeps_the_order_of_texts(model: M3Model) -> None:
    """Batches are made by length; the result is in the order of the texts."""
    texts = [" ".join(["tower"] * n) for n in (9, 1, 30, 4, 17)]
    found = encode(Encoder(model, 64, "fp32"), texts, is_query=False, limit=1e9)
    for number, text in enumerate(texts):
        [(_, alone)] = encode_batches(model, [text], is_query=False, budget=64, dtype="fp32")
        assert np.allclose(found.dense[number], alone.dense[0].numpy(), atol=1e-5)
        assert len(found.vectors[number]) == int(alone.mask.sum())
        assert found.vectors[number].dtype == torch.float16


def test_token_vectors_stay_within_their_limit(model: M3Model) -> None:
    """What does not fit is not kept."""
    whole = encode(Encoder(model, 64, "fp32"), TEXTS, is_query=False, limit=1e9).vectors
    few = encode(Encoder(model, 64, "fp32"), TEXTS, is_query=False, limit=whole.used / 2).vectors
    kept = [number for number in range(len(TEXTS)) if number in few]
    assert 0 < len(kept) < len(TEXTS)
    assert few.used <= whole.used / 2
    assert few.used == sum(few[number].numel() * 2 for number in kept)


def test_documents_are_encoded_once_for_all_sets_of_a_corpus(
    model: M3Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next set with the same documents costs its queries only."""
    seen: list[int] = []
    config = EvaluationConfig()
    retriever = of_model(model, config, "fp32")
    one = set_of(QUERIES, TEXTS)
    for data in (one, replace(one, queries=QUERIES[::-1]), replace(one, corpus="other")):
        done: list[int] = []
        retriever.retrieve(data, lambda texts, tokens, done=done: done.append(texts))
        seen.append(max(done, default=0))
    assert seen == [12, 0, 12]


def test_metrics_are_per_query_and_mode(model: M3Model, tmp_path: Path) -> None:
    """Each judged query has its value of each measure in each mode; the report reaches the end."""
    write_beir(tmp_path)
    data = load_set(EvaluationSet(path=str(tmp_path)), "", SplitConfig())
    steps: list[int] = []
    found = evaluate_model(
        model, data, EvaluationConfig(), "fp32", lambda done, tokens: steps.append(done)
    )
    assert set(found) == set(MODES)
    for values in found.values():
        assert set(values) == {"q0", "q2"}
        assert all(v["Recall@100"] in (0.0, 1.0) for v in values.values())
    assert found["dense"]["q0"]["Recall@100"] == 1.0
    assert steps[-1] == 5


@pytest.mark.parametrize("kept_mb", [100.0, 0.05], ids=["all-kept", "some-kept"])
def test_kept_vectors_give_the_same_scores(model: M3Model, tmp_path: Path, kept_mb: float) -> None:
    """A later run reads the documents' vectors instead of encoding, another model does not."""
    config = EvaluationConfig(cache=str(tmp_path), token_vectors_mb=kept_mb, batch_tokens=128)
    data = set_of(QUERIES, TEXTS)
    done: list[tuple[int, int]] = []
    first, again = (
        M3Retriever(Encoder(model, 128, "fp32"), config).find(
            data, lambda texts, tokens: done.append((texts, tokens))
        )
        for _ in range(2)
    )
    assert [tokens for texts, tokens in done if texts == 12] == [done[-2][1], 0]
    for one, other in zip(first.runs(PAPER).values(), again.runs(PAPER).values(), strict=True):
        assert (one[1] == other[1]).all()
        np.testing.assert_array_equal(one[0], other[0])
    assert len(list(tmp_path.glob("*/model.json"))) == 1
    found_by(model, set_of(QUERIES, TEXTS[:5]), config)
    M3Retriever(Encoder(model, 128, "bf16"), config).find(data)
    assert len(list(tmp_path.glob("*/model.json"))) == 2
    assert len(list(tmp_path.glob("*/*.dense.npy"))) == 3
