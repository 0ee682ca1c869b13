"""Hard negatives against brute force: what may never be one, and which are chosen."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mining.config import MiningConfig
from mining.encode import encode_dense
from mining.index import search
from mining.negatives import Candidates, choose, mask_candidates
from mining.pool import Pool, build_pool
from tests.builders import articles
from train.checkpoint import load
from train.config import ModelConfig

torch.set_num_threads(1)

SEEDS = st.integers(0, 2**31)
RULES = ("positive", "same_document", "equals_query", "repeated_text", "too_close_to_positive")


def candidates(seed: int, queries: int = 4, passages: int = 12, depth: int = 9) -> Candidates:
    """Random candidates among few texts and documents, so that every rule applies somewhere."""
    draw = np.random.default_rng(seed)
    texts = draw.integers(0, 7, passages)
    positive = draw.integers(0, passages, queries)
    scores = -np.sort(-draw.uniform(-1, 1, (queries, depth)).astype(np.float32), axis=1)
    return Candidates(
        ids=np.stack([draw.permutation(passages)[:depth] for _ in range(queries)]),
        scores=scores,
        positive=positive,
        positive_scores=draw.uniform(-1, 1, queries).astype(np.float32),
        text_groups=texts,
        document_groups=draw.integers(-1, 6, passages),
        query_groups=draw.integers(-1, 7, queries),
        known=[
            frozenset({int(texts[p]), *draw.integers(0, 7, draw.integers(0, 2)).tolist()})
            for p in positive
        ],
    )


def reason(found: Candidates, query: int, column: int, ratio: float) -> str | None:
    """Return the first rule that removes a candidate, by plain Python."""
    passage = found.ids[query, column]
    group, document = found.text_groups[passage], found.document_groups[passage]
    own = found.document_groups[found.positive[query]]
    best = found.positive_scores[query]
    limit = best - np.float32(1 - ratio) * abs(best)
    hits = (
        group in found.known[query],
        own >= 0 and document == own,
        group == found.query_groups[query],
        group in found.text_groups[found.ids[query, :column]],
        found.scores[query, column] > limit,
    )
    return next((rule for rule, hit in zip(RULES, hits, strict=True) if hit), None)


def survivors(found: Candidates, query: int, ratio: float) -> list[int]:
    columns = range(found.ids.shape[1])
    return [c for c in columns if reason(found, query, c, ratio) is None]


@settings(deadline=None, max_examples=50)
@given(SEEDS, st.sampled_from([0.0, 0.5, 0.95, 1.0, 2.0]))
def test_mask_equals_brute_force(seed: int, ratio: float) -> None:
    """Each candidate is kept, or counted under the first rule that removes it."""
    found = candidates(seed)
    usable, removed = mask_candidates(found, ratio)
    expected = [[reason(found, q, c, ratio) for c in range(9)] for q in range(4)]
    assert usable.tolist() == [[why is None for why in row] for row in expected]
    counts = Counter(why for row in expected for why in row if why)
    assert removed == {rule: counts[rule] for rule in RULES}


@settings(deadline=None, max_examples=50)
@given(SEEDS, st.integers(0, 5), st.integers(0, 4))
def test_top_takes_the_best_survivors(seed: int, negatives: int, first_rank: int) -> None:
    """Ids, ranks and scores of the survivors after `first_rank`, best first, -1 behind them."""
    found = candidates(seed)
    config = MiningConfig(negatives=negatives, first_rank=first_rank)
    chosen = choose(found, config)
    starved = 0
    for q in range(4):
        ranks = survivors(found, q, 0.95)[first_rank:][:negatives]
        gap = [-1] * (negatives - len(ranks))
        assert chosen.ranks[q].tolist() == ranks + gap
        assert chosen.ids[q].tolist() == found.ids[q, ranks].tolist() + gap
        assert chosen.scores[q, : len(ranks)].tolist() == found.scores[q, ranks].tolist()
        assert np.isnan(chosen.scores[q, len(ranks) :]).all()
        starved += len(ranks) < negatives
    assert chosen.removed["starved"] == starved
    assert chosen.scores.dtype == np.float32


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.integers(0, 5), st.integers(0, 3))
def test_random_draws_among_the_survivors(seed: int, negatives: int, first_rank: int) -> None:
    """As many as there are, none twice, in order of rank, and the same for an equal seed."""
    found = candidates(seed)
    config = MiningConfig(
        negatives=negatives, first_rank=first_rank, sampling="random", seed=seed % 99
    )
    chosen, again = choose(found, config), choose(found, config)
    assert np.array_equal(chosen.ids, again.ids)
    for q in range(4):
        allowed = survivors(found, q, 0.95)[first_rank:]
        ranks = [r for r in chosen.ranks[q].tolist() if r >= 0]
        assert len(ranks) == min(negatives, len(allowed))
        assert set(ranks) <= set(allowed)
        assert ranks == sorted(set(ranks))


def plain(depth: int, positive_score: float = 1.0, **changes: Any) -> Candidates:
    """One query, `depth` distinct candidates with scores 0.9, 0.8 …; passage 50 is positive."""
    known: dict[str, Any] = {
        "ids": np.arange(depth)[None],
        "scores": np.linspace(0.9, 0.9 - 0.1 * (depth - 1), depth, dtype=np.float32)[None],
        "positive": np.array([50]),
        "positive_scores": np.array([positive_score], np.float32),
        "text_groups": np.arange(60),
        "document_groups": np.arange(60),
        "query_groups": np.array([-1]),
        "known": [frozenset({50})],
    }
    return Candidates(**(known | changes))


def test_random_takes_every_survivor_about_equally_often() -> None:
    """Of 8 survivors, 2 drawn: each in a quarter of 400 seeds."""
    found = plain(8)
    drawn: Counter[int] = Counter()
    for seed in range(400):
        chosen = choose(found, MiningConfig(negatives=2, sampling="random", seed=seed))
        drawn.update(chosen.ranks[0].tolist())
    assert sorted(drawn) == list(range(8))
    assert all(60 < n < 140 for n in drawn.values()), drawn  # 100 with deviation 9


@pytest.mark.parametrize(
    ("positive", "ratio", "ranks"),
    [
        (1.0, 0.85, [1, 2, 3]),
        (1.0, 1.0, [0, 1, 2, 3]),
        (0.75, 1.0, [2, 3]),
        (0.0, 0.5, []),
        (-0.1, 0.5, []),
        (0.2, 4.6, [0, 1, 2, 3]),
    ],
)
def test_margin_by_hand(positive: float, ratio: float, ranks: list[int]) -> None:
    """Scores 0.9, 0.8, 0.7, 0.6 against ratio · positive."""
    usable, _ = mask_candidates(plain(4, positive), ratio)
    assert np.flatnonzero(usable[0]).tolist() == ranks


def test_margin_lies_below_a_negative_positive() -> None:
    """-0.5 with ratio 0.9 allows candidates up to -0.55, not up to -0.45."""
    scores = np.array([[-0.48, -0.52, -0.54, -0.56]], np.float32)
    usable, _ = mask_candidates(plain(4, -0.5, scores=scores), 0.9)
    assert usable.tolist() == [[False, False, False, True]]


def test_passages_without_a_document_are_not_of_one_document() -> None:
    """-1 on both sides removes nothing."""
    usable, removed = mask_candidates(plain(3, document_groups=np.full(60, -1)), 1.0)
    assert usable.all()
    assert removed["same_document"] == 0


def test_first_rank_counts_survivors() -> None:
    """Removed candidates do not use up the ranks to skip."""
    found = plain(5, document_groups=np.array([50, 1, 2, 3, 4, *range(5, 60)]))
    chosen = choose(found, MiningConfig(negatives=2, first_rank=1))
    assert chosen.ranks.tolist() == [[2, 3]]
    assert chosen.removed["same_document"] == 1


def test_fewer_candidates_than_negatives_are_padded_to_what_was_searched() -> None:
    """A corpus of 3 passages gives at most 3, and the query is counted as starved."""
    chosen = choose(plain(3), MiningConfig(negatives=7))
    assert chosen.ids.tolist() == [[0, 1, 2]]
    assert chosen.removed["starved"] == 1


def corpus() -> list[dict[str, str]]:
    """Questions with two sections per document, a text in two cases, and one that is a title."""
    rows = []
    for i, article in enumerate(articles("en", 12)):
        for part, text in enumerate(article["text"].split(". ")):
            what = ("lighthouse", "keeper")[part]
            rows.append(
                {
                    "query": f"the {what} of {article['title']}",
                    "positive": text,
                    "document_id": f"doc-{i}",
                }
            )
            if part == 0 and i < 3:
                rows.append({**rows[-1], "positive": text.upper(), "document_id": f"copy-{i}"})
    title = {"query": "a name", "positive": "the  Lighthouse of Armouth", "document_id": ""}
    blank = dict.fromkeys(("relation", "query_language", "language", "source"), "x")
    return [{"id": f"{n:03d}", **blank, **row} for n, row in enumerate([*rows, title])]


def mined(pool: Pool, encoder: str, config: MiningConfig) -> tuple[Any, np.ndarray]:
    model = load(encoder, ModelConfig(max_query_tokens=64, max_passage_tokens=64))
    options: dict[str, Any] = {"budget": 500, "dtype": "fp32"}
    queries = encode_dense(model, [row["query"] for row in pool.rows], is_query=True, **options)
    passages = encode_dense(model, pool.passages, is_query=False, **options)
    scores, ids = search(queries, passages, config.depth)
    found = Candidates(
        ids=ids,
        scores=scores,
        positive=pool.positive,
        positive_scores=(queries * passages[pool.positive]).sum(1),
        text_groups=pool.text_groups,
        document_groups=pool.document_groups,
        query_groups=pool.query_groups,
        known=pool.known,
    )
    return choose(found, config), queries @ passages.T


def fold(text: str) -> str:
    return " ".join(text.casefold().split())


def test_mined_negatives_are_no_answers(tiny_encoder: str) -> None:
    """From texts to negatives: no positive, own document, own text or copy; ranks are true."""
    rows = corpus()
    pool = build_pool(rows)
    config = MiningConfig(negatives=6, depth=100, max_positive_ratio=10.0)
    chosen, scores = mined(pool, tiny_encoder, config)
    answers: dict[str, set[str]] = {}
    for row in rows:
        answers.setdefault(row["query"], set()).add(fold(row["positive"]))
    for n, row in enumerate(rows):
        negatives = chosen.ids[n].tolist()
        assert len(negatives) == 6
        texts = [fold(pool.passages[i]) for i in negatives]
        assert not answers[row["query"]] & set(texts)
        assert fold(row["query"]) not in texts
        assert len(set(texts)) == 6
        if row["document_id"]:
            assert row["document_id"] not in [pool.passage_ids[i] for i in negatives]
        np.testing.assert_allclose(chosen.scores[n], scores[n, negatives], atol=1e-5)
        better = [(scores[n] > s + 1e-5).sum() for s in scores[n, negatives]]
        worse = [(scores[n] >= s - 1e-5).sum() for s in scores[n, negatives]]
        ranks = chosen.ranks[n].tolist()
        assert all(b <= rank < w for b, rank, w in zip(better, ranks, worse, strict=True))
    assert {chosen.removed[rule] > 0 for rule in RULES[:4]} == {True}


def test_mining_is_deterministic(tiny_encoder: str) -> None:
    """Rows in another order give every row the same negatives."""
    config = MiningConfig(negatives=3, depth=20)
    picked = []
    for rows in (corpus(), corpus()[::-1]):
        pool = build_pool(rows)
        chosen, _ = mined(pool, tiny_encoder, config)
        picked.append(
            {
                row["id"]: [pool.passages[i] for i in ids if i >= 0]
                for row, ids in zip(rows, chosen.ids.tolist(), strict=True)
            }
        )
    assert picked[0] == picked[1]
