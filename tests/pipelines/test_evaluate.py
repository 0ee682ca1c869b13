"""Evaluation sets and retrieval with all heads, against a plain computation."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from curation import storage
from curation.errors import InputError
from curation.splits import SplitConfig
from mining.encode import encode_batches
from pipelines import evaluate
from pipelines.config import MODES, EvaluationConfig, EvaluationSet
from tests.builders import articles
from train import scoring
from train.checkpoint import load
from train.config import ModelConfig
from train.model import M3Model

Packer = Callable[[str], bytes]


def write_beir(folder: Path, *, qrels: str = "qrels/test.tsv", packed: bool = False) -> None:
    """Write five documents, three queries of which two are judged."""
    corpus = [
        {"_id": f"d{i}", "title": a["title"] if i else None, "text": a["text"]}
        for i, a in enumerate(articles("en", 5))
    ]
    queries = [{"_id": f"q{i}", "text": f"Who built the tower {i}?"} for i in range(3)]
    files = {
        "corpus.jsonl": "".join(json.dumps(row) + "\n" for row in corpus),
        "queries.jsonl": "".join(json.dumps(row) + "\n" for row in queries),
        qrels: "query-id\tcorpus-id\tscore\nq0\td1\t1\nq2\td2\t2\nq2\td3\t0\n",
    }
    for name, text in files.items():
        path = folder / (name + ".gz" * packed)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())


def beir(folder: Path, **options: Any) -> EvaluationSet:
    return EvaluationSet(kind="beir", path=str(folder), **options)


@pytest.mark.parametrize("qrels", ["qrels.tsv", "qrels/test.tsv"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_a_beir_folder_is_read(tmp_path: Path, qrels: str, packed: bool) -> None:
    """Judged queries only, titles before texts, graded judgements kept."""
    write_beir(tmp_path, qrels=qrels, packed=packed)
    found = evaluate.load_set(beir(tmp_path), "", SplitConfig())
    assert sorted(found.query_ids) == ["q0", "q2"]
    assert found.judgements == {"q0": {"d1": 1}, "q2": {"d2": 2, "d3": 0}}
    assert found.document_ids == ["d0", "d1", "d2", "d3", "d4"]
    assert found.documents[0] == articles("en", 1)[0]["text"]
    assert found.documents[1].startswith("Arhaven\nThe lighthouse of Arhaven")
    assert found.name == tmp_path.name


def test_the_first_queries_are_the_same_ones_each_time(tmp_path: Path) -> None:
    """max_queries takes a prefix of the full order."""
    write_beir(tmp_path)
    whole = evaluate.load_set(beir(tmp_path), "", SplitConfig())
    first = evaluate.load_set(beir(tmp_path, max_queries=1), "", SplitConfig())
    assert first.query_ids == whole.query_ids[:1]
    assert list(first.judgements) == first.query_ids


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("corpus.jsonl", "holds no corpus.jsonl (plain or .gz): no BEIR folder?"),
        ("qrels/test.tsv", "holds no qrels.tsv or qrels/test.tsv (plain or .gz): no BEIR folder?"),
    ],
    ids=["corpus", "qrels"],
)
def test_a_folder_that_lacks_a_file_is_named(tmp_path: Path, missing: str, message: str) -> None:
    """The message says which file, and where."""
    write_beir(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(InputError) as caught:
        evaluate.load_set(beir(tmp_path), "", SplitConfig())
    assert str(caught.value) == f"{tmp_path} {message}"


def test_a_set_without_judged_queries_is_an_error(tmp_path: Path) -> None:
    """No metric is computed over nothing."""
    write_beir(tmp_path)
    (tmp_path / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\n")
    with pytest.raises(InputError, match=f"'{tmp_path.name}' has no judged query"):
        evaluate.load_set(beir(tmp_path), "", SplitConfig())


@pytest.fixture(scope="module")
def model(tiny_encoder: str) -> M3Model:
    config = ModelConfig(encoder=tiny_encoder, max_query_tokens=32, max_passage_tokens=64)
    return load(tiny_encoder, config, 0)


def test_every_mode_scores_as_the_formulas_say(model: M3Model) -> None:
    """Runs equal scores computed pair by pair, for all documents where depths allow it."""
    texts = [article["text"] for article in articles("en", 12)]
    queries = [f"Who climbs the stairs of {a['title']}?" for a in articles("en", 4)]
    config = EvaluationConfig(rerank_depth=12, union_depth=12, batch_tokens=128)
    encoded = [
        evaluate._encode(model, listed, config, "fp32", is_query=is_query, report=None)
        for listed, is_query in ((queries, True), (texts, False))
    ]
    runs = evaluate.retrieve(*encoded, config)
    assert tuple(runs) == MODES
    for number, query in enumerate(encoded[0]):
        for index, document in enumerate(encoded[1]):
            dense = float(query.dense.float() @ document.dense.float().T)
            sparse = float(scoring.sparse_scores(query, document))
            vectors = float(scoring.multi_vector_scores(query, document))
            total = dense + 0.3 * sparse + vectors
            assert runs["dense"][number][index] == pytest.approx(dense, abs=1e-4)
            assert runs["sparse"][number].get(index, 0.0) == pytest.approx(sparse, abs=1e-4)
            assert runs["multi-vector"][number][index] == pytest.approx(vectors, abs=5e-3)
            expected = pytest.approx(dense + 0.3 * sparse, abs=1e-4)
            assert runs["dense+sparse"][number][index] == expected
            assert runs["all"][number][index] == pytest.approx(total, abs=5e-3)


def test_depths_bound_what_is_ranked(model: M3Model) -> None:
    """Re-rankers see dense's best, the hybrid the union of both heads' best."""
    texts = [article["text"] for article in articles("en", 12)]
    config = EvaluationConfig(rerank_depth=3, union_depth=5)
    encoded = [
        evaluate._encode(model, listed, config, "fp32", is_query=is_query, report=None)
        for listed, is_query in ((["Who built it?"], True), (texts, False))
    ]
    runs = {mode: run[0] for mode, run in evaluate.retrieve(*encoded, config).items()}
    best = sorted(runs["dense"], key=lambda i: -runs["dense"][i])
    assert len(best) == 5
    assert set(runs["multi-vector"]) == set(runs["all"]) == set(best[:3])
    assert set(runs["dense+sparse"]) == set(best) | set(runs["sparse"])
    assert len(runs["sparse"]) <= 5


def test_encoding_keeps_the_order_of_texts(model: M3Model) -> None:
    """Batches are made by length; the result is in the order of the texts."""
    texts = [" ".join(["tower"] * n) for n in (9, 1, 30, 4, 17)]
    config = EvaluationConfig(batch_tokens=64)
    found = evaluate._encode(model, texts, config, "fp32", is_query=False, report=None)
    for text, one in zip(texts, found, strict=True):
        [(_, alone)] = encode_batches(model, [text], is_query=False, budget=64, dtype="fp32")
        assert torch.allclose(one.dense, alone.dense, atol=1e-5)
        assert one.vectors.shape[1] == int(one.mask.sum()) + 1
        assert one.vectors.dtype == torch.float16


def test_metrics_are_per_query_and_mode(model: M3Model, tmp_path: Path) -> None:
    """Each judged query has its value of each measure in each mode; the report reaches the end."""
    write_beir(tmp_path)
    data = evaluate.load_set(beir(tmp_path), "", SplitConfig())
    steps: list[int] = []
    config = EvaluationConfig()
    found = evaluate.evaluate_model(
        model, data, config, "fp32", lambda done, tokens: steps.append(done)
    )
    assert set(found) == set(MODES)
    for values in found.values():
        assert set(values) == {"q0", "q2"}
        assert all(v["Recall@100"] in (0.0, 1.0) for v in values.values())
    assert found["dense"]["q0"]["Recall@100"] == 1.0
    assert steps[-1] == 5


def test_questions_need_their_stages(tmp_path: Path) -> None:
    """Without questions the message names the command."""
    with pytest.raises(InputError, match="is missing or incomplete; run: make synth"):
        evaluate.load_set(EvaluationSet(kind="questions"), str(tmp_path), SplitConfig())
    assert storage.list_files(str(tmp_path)) == []
