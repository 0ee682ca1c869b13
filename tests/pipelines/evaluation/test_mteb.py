"""Our model in mteb: a local task scores as our own evaluation does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from datasets import Dataset

from curation.errors import ConfigError
from pipelines.evaluation.config import EvaluationConfig
from pipelines.evaluation.evaluate import as_runs, evaluate_runs
from pipelines.evaluation.models import Loader
from pipelines.evaluation.mteb_model import M3Search
from pipelines.evaluation.sets import RetrievalSet
from tests.builders import articles
from train import metrics
from train.config import ModelConfig
from train.watch import MODES

LIMITS = ModelConfig(max_query_tokens=32, max_passage_tokens=64)
DOCUMENTS = {f"d{i}": article["text"] for i, article in enumerate(articles("en", 12))}
QUERIES = {f"q{i}": f"Who climbs {a['title']}?" for i, a in enumerate(articles("en", 4))}
JUDGED = {f"q{i}": {f"d{i}": 1, f"d{i + 5}": 1} for i in range(4)}


def rows(texts: dict[str, str]) -> Dataset:
    return Dataset.from_list([{"id": name, "text": text} for name, text in texts.items()])


def indexed(folder: str, mode: str) -> M3Search:
    model = M3Search(folder, mode=mode, limits=LIMITS, config=EvaluationConfig(precision="fp32"))
    model.index(rows(DOCUMENTS))
    return model


def our_runs(folder: str) -> tuple[dict[str, dict[str, dict[str, float]]], RetrievalSet]:
    data = RetrievalSet(
        "s",
        list(QUERIES),
        list(QUERIES.values()),
        list(DOCUMENTS),
        list(DOCUMENTS.values()),
        JUDGED,
    )
    config = EvaluationConfig(precision="fp32")
    loader = Loader(config, LIMITS, 0)
    from pipelines.evaluation.config import EvaluationModel

    retriever = loader.listed(EvaluationModel(path=folder)).load()
    return as_runs(retriever.retrieve(data), data, data, 1000), data


@pytest.mark.parametrize("mode", MODES)
def test_a_search_is_our_run(tiny_encoder: str, mode: str) -> None:
    """The same documents with the same scores, and reranking gives those scores to any list."""
    found = indexed(tiny_encoder, mode).search(rows(QUERIES), top_k=12)
    ours, _ = our_runs(tiny_encoder)
    for query, ranked in ours[mode].items():
        assert list(found[query]) == list(ranked)
        np.testing.assert_allclose(list(found[query].values()), list(ranked.values()), atol=1e-5)
    some = {query: ["d7", "d2", "d5"] for query in QUERIES}
    again = indexed(tiny_encoder, mode).search(rows(QUERIES), top_k=12, top_ranked=some)
    for query in QUERIES:
        assert set(again[query]) == {"d7", "d2", "d5"}
        for name, score in again[query].items():
            assert score == pytest.approx(ours[mode][query].get(name, 0.0), abs=1e-5)


def test_an_unknown_mode_or_preset_is_an_error(tiny_encoder: str) -> None:
    with pytest.raises(ConfigError, match="did you mean 'dense'"):
        M3Search(tiny_encoder, mode="dens")
    with pytest.raises(ConfigError, match="unknown preset 'beir'"):
        M3Search(tiny_encoder, preset="beir")


@pytest.mark.filterwarnings("ignore")  # mteb's own
def test_mteb_scores_a_task_as_we_do(tiny_encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task whose data are here, through mteb.evaluate: nDCG@10 and recall are ours."""
    mteb = pytest.importorskip("mteb")
    from mteb.abstasks.retrieval import AbsTaskRetrieval

    class Local(AbsTaskRetrieval):
        metadata = mteb.abstasks.task_metadata.TaskMetadata(
            name="LocalRetrieval",
            description="towers",
            reference=None,
            dataset={"path": "local", "revision": "1"},
            type="Retrieval",
            category="t2t",
            modalities=["text"],
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
            date=None, domains=None, task_subtypes=None, license=None, annotations_creators=None,
            dialect=None, sample_creation=None, bibtex_citation=None,
        )  # fmt: skip

        def load_data(self, *_: Any, **__: Any) -> None:
            split = {
                "corpus": rows(DOCUMENTS),
                "queries": rows(QUERIES),
                "relevant_docs": JUDGED,
                "top_ranked": None,
            }
            self.dataset = {"default": {"test": split}}
            self.data_loaded = True

    ours, data = our_runs(tiny_encoder)
    for mode in ("dense", "all"):
        model = indexed(tiny_encoder, mode)
        result = mteb.evaluate(model, Local(), cache=None)
        scores = result.task_results[0].scores["test"][0]
        values = metrics.average(evaluate_runs(ours, JUDGED, data)[mode])
        assert scores["ndcg_at_10"] == pytest.approx(values["nDCG@10"], abs=1e-5)
        assert scores["recall_at_20"] == pytest.approx(values["Recall@20"], abs=1e-5)
