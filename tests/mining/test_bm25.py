"""BM25 against the formula, against bm25s and on SciFact."""

from __future__ import annotations

import gzip
import json
import math
from collections import Counter
from pathlib import Path

import bm25s
import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import ConfigError, InputError
from mining import bm25
from mining.analysis import Terms, analyser
from mining.bm25 import Bm25Config, Bm25Index


class Split:
    """Words between spaces, hashed by themselves: "w3" is 3."""

    name = "split"

    def __call__(self, texts: list[str]) -> Terms:
        found = [[int(word[1:]) for word in text.split()] for text in texts]
        borders = np.cumsum([0, *map(len, found)])
        return Terms(borders, np.array([w for row in found for w in row], np.uint64))


def formula(texts: list[str], query: str, config: Bm25Config) -> list[float]:
    """Return Lucene's BM25 of each text, term by term."""
    counts = [Counter(text.split()) for text in texts]
    mean = sum(c.total() for c in counts) / len(texts)
    scores = []
    for count in counts:
        penalty = config.k1 * (1 - config.b + config.b * count.total() / mean)
        score = 0.0
        for word in query.split():
            df = sum(word in other for other in counts)
            idf = math.log(1 + (len(texts) - df + 0.5) / (df + 0.5))
            score += idf * count[word] / (count[word] + penalty) if count[word] else 0.0
        scores.append(score)
    return scores


WORDS = st.lists(st.integers(0, 12).map("w{}".format), max_size=9).map(" ".join)
TEXTS = st.lists(WORDS, min_size=1, max_size=25).filter(lambda texts: any(texts))


@settings(deadline=None, max_examples=40)
@given(
    TEXTS,
    st.lists(WORDS, min_size=1, max_size=4),
    st.sampled_from([(0.9, 0.4), (1.5, 0.75), (0, 0)]),
)
def test_scores_are_lucenes(texts: list[str], queries: list[str], k: tuple[float, float]) -> None:
    """All texts with a shared word, with the formula's score; repeated query words count again."""
    config = Bm25Config(k1=k[0], b=k[1])
    scores, numbers = Bm25Index.build(texts, Split(), config).search(queries, len(texts) + 1)
    for row, query in enumerate(queries):
        expected = formula(texts, query, config)
        found = numbers[row] >= 0
        assert set(numbers[row][found]) == {i for i, score in enumerate(expected) if score > 0}
        np.testing.assert_allclose(
            scores[row][found], np.array(expected)[numbers[row][found]], rtol=2e-5
        )


def test_scores_are_bm25s_own(tmp_path: Path) -> None:
    """The same scores as the library's Lucene variant on a few hundred texts; on disk as well."""
    draw = np.random.default_rng(0)
    lists = [
        [f"w{n}" for n in draw.zipf(1.3, draw.integers(3, 40)) if n < 5000] for _ in range(400)
    ]
    texts = [" ".join(words) for words in lists]
    peer = bm25s.BM25(method="lucene", k1=1.2, b=0.75, backend="numpy")
    peer.index(lists, show_progress=False)
    config = Bm25Config(k1=1.2, b=0.75)
    index = Bm25Index.build(iter(texts), Split(), config, folder=str(tmp_path / "bm25"))
    queries = [" ".join(words[:5]) for words in lists[:50]]
    scores, _ = index.search(queries, 20)
    for row, query in enumerate(queries):
        wanted = np.sort(peer.get_scores(query.split()))[::-1][:20]
        np.testing.assert_allclose(np.maximum(scores[row], 0), wanted, rtol=1e-4, atol=1e-5)


def test_small_batches_and_folders_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statistics are of the whole corpus, however it was cut; a folder opens again."""
    texts = [f"w{i % 7} w{i % 3} w{i % 11}" for i in range(50)]
    whole = Bm25Index.build(texts, Split()).search(["w1 w2", "w9"], 60)
    monkeypatch.setattr(bm25, "_AT_ONCE", 7)
    Bm25Index.build(iter(texts), Split(), folder=str(tmp_path / "b"))
    opened = Bm25Index.open(str(tmp_path / "b"), Split())
    assert len(opened) == 50
    for one, other in zip(opened.search(["w1 w2", "w9"], 60), whole, strict=True):
        assert np.array_equal(one, other)
    ties = whole[1][1][whole[1][1] >= 0]
    assert ties.tolist() == sorted(ties.tolist())


def test_another_analyser_is_refused(tmp_path: Path) -> None:
    """Terms of one analyser mean nothing to another."""
    Bm25Index.build(["a lamp"], analyser("en"), folder=str(tmp_path / "b"))
    with pytest.raises(InputError, match="has analyser 'language-en-1', not 'language-de-1'"):
        Bm25Index.open(str(tmp_path / "b"), analyser("de"))
    with pytest.raises(InputError, match=r"holds no bm25\.json"):
        Bm25Index.open(str(tmp_path), analyser("en"))


def test_no_texts_and_texts_without_terms() -> None:
    """Nothing is found, and nothing fails."""
    for texts in ([], ["", "..."]):
        scores, numbers = Bm25Index.build(texts, analyser("en")).search(["lamp", ""], 2)
        assert np.array_equal(numbers, np.full((2, 2), -1))
        assert np.isneginf(scores).all()


def test_parameters_have_ranges() -> None:
    """The error names the parameter."""
    with pytest.raises(ConfigError, match=r"bm25\.b = 1\.5"):
        Bm25Config(b=1.5)


def test_scifact_is_as_published(real_data: Path) -> None:
    """nDCG@10 of 0.665 (BEIR, two fields) to 0.68 (one field) is published for BM25."""
    folder = real_data / "retrieval/eval/scifact-test-en"
    corpus, queries = (
        [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
        for path in (folder / "corpus.jsonl.gz", folder / "queries.jsonl.gz")
    )
    qrels: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels.tsv").read_text().splitlines():
        query, document, grade = line.split("\t")
        if grade.isdigit():
            qrels.setdefault(query, {})[document] = int(grade)
    queries = [query for query in queries if query["_id"] in qrels]
    texts = [f"{row['title']}\n{row['text']}" for row in corpus]
    index = Bm25Index.build(texts, analyser("en"))
    scores, numbers = index.search([query["text"] for query in queries], 100)
    run = {
        query["_id"]: {
            corpus[n]["_id"]: float(s) for s, n in zip(scores[i], numbers[i], strict=True) if n >= 0
        }
        for i, query in enumerate(queries)
    }
    measured = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10"}).evaluate(run)
    value = np.mean([row["ndcg_cut_10"] for row in measured.values()])
    assert value == pytest.approx(0.6777, abs=0.001)
