"""The loop of mining against plain loops over all scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mining import miner
from mining.analysis import analyser
from mining.bm25 import Bm25Index
from mining.config import MiningConfig
from mining.lists import Ids
from mining.miner import Mined, Piece, Scoring, Work, fill_at_random, mine, nothing
from mining.negatives import RULES, Candidates, choose, needed
from mining.passages import PASSAGE
from mining.pool import Pool, Scores
from mining.search import PoolSearch
from tests.mining.pools import pool_of, random_rows, row

SEEDS = st.integers(0, 2**31)


def vectors(pool: Pool, seed: int) -> tuple[Scores, Scores]:
    draw = np.random.default_rng(seed)
    made = (
        draw.standard_normal((n, 6)).astype(np.float32) for n in (len(pool), len(pool.passages))
    )
    queries, passages = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in made)
    return queries, passages


def run(
    pool: Pool, config: MiningConfig, seed: int = 0, **options: Any
) -> tuple[Mined, Scores, Scores]:
    """Mine; return also the (Q, P) scores and the lowest of the positives."""
    queries, passages = vectors(pool, seed)
    search = PoolSearch(pool, config, queries, passages, **options)
    everyone = pool.positives.owners
    own = search.dense_scores(everyone, pool.positives.values)
    bounds = np.minimum.reduceat(own, pool.positives.starts[:-1])
    mined = mine(pool, search, Scoring(search.dense_scores), bounds, config)
    return mined, queries @ passages.T, bounds


def members_of(pool: Pool, query: int, config: MiningConfig) -> Ids:
    spoken, language = pool.query_languages[query], pool.groups.language
    if config.pool == "mixed":
        return np.arange(len(pool.passages))
    if config.pool == "language":
        return np.flatnonzero(language == pool.languages[query])
    return np.flatnonzero(language != spoken)


@settings(deadline=None, max_examples=25)
@given(SEEDS, st.sampled_from(["mixed", "language", "cross-lingual"]), st.sampled_from([0, 3, 99]))
def test_mining_equals_choosing_from_a_sorted_list(seed: int, pool_kind: str, most: int) -> None:
    """At the depth that a row came to, doubled from 2 up to `max_depth` while it is starved."""
    draw = np.random.default_rng(seed)
    pool = pool_of(*random_rows(draw, 7, ("en", "fr", "sw")), negatives=2)
    config = MiningConfig(
        negatives=2, depth=2, max_depth=most, pool=pool_kind, max_positive_ratio=0.9
    )
    mined, scores, bounds = run(pool, config, seed)
    for query in range(len(pool)):
        own = members_of(pool, query, config)
        order = own[np.argsort(-scores[query, own], kind="stable")]
        depth = 2
        while True:
            row_ = np.array([query])
            ids = np.pad(order[:depth], (0, max(0, 2 - len(order))), constant_values=-1)[None]
            found = Candidates(
                row_, ids, np.where(ids >= 0, scores[query, ids], -np.inf), bounds[row_]
            )
            chosen = choose(pool, found, config)
            lacks = chosen.counts[0] < needed(pool, row_, config)[0]
            if not lacks or depth > len(order) or depth * 2 > most:
                break
            depth *= 2
        assert mined.ids[query].tolist() == chosen.ids[0].tolist()
        assert mined.depths[query] == depth
        assert mined.removed[query].tolist() == chosen.removed[0].tolist()
        assert mined.survivors[query] == chosen.survivors[0]


@pytest.mark.parametrize("size", [1, 3, 10_000], ids=lambda n: f"{n} candidates at once")
@pytest.mark.parametrize("sampling", ["top", "random", "simans"])
def test_pieces_do_not_matter(size: int, sampling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows are searched together, the result is the same array."""
    pool = pool_of(*random_rows(np.random.default_rng(5), 20), negatives=2)
    config = MiningConfig(negatives=2, depth=3, sampling=sampling, starved="random")
    whole, *_ = run(pool, config)
    monkeypatch.setattr(miner, "_CANDIDATES", size)
    again, *_ = run(pool, config)
    assert again.ids.tolist() == whole.ids.tolist()
    assert again.scores.tobytes() == whole.scores.tobytes()


def test_a_killed_run_goes_on_with_its_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces that were kept are not searched again, and the result is that of an unbroken run."""
    pool = pool_of(*random_rows(np.random.default_rng(6), 20), negatives=2)
    config = MiningConfig(negatives=2, depth=3)
    monkeypatch.setattr(miner, "_CANDIDATES", 12)
    whole, *_ = run(pool, config)
    kept: dict[int, Mined] = {}
    searched: list[int] = []

    def keep(work: Work, piece: Piece, stop: int = 99) -> Mined:
        if work.number not in kept:
            if len(searched) == stop:
                raise KeyboardInterrupt
            searched.append(work.number)
            kept[work.number] = piece(work)
        return kept[work.number]

    queries, passages = vectors(pool, 0)
    search = PoolSearch(pool, config, queries, passages)
    own = search.dense_scores(pool.positives.owners, pool.positives.values)
    bounds = np.minimum.reduceat(own, pool.positives.starts[:-1])
    scoring = Scoring(search.dense_scores)
    with pytest.raises(KeyboardInterrupt):
        mine(pool, search, scoring, bounds, config, lambda w, p: keep(w, p, 4))
    again = mine(pool, search, scoring, bounds, config, keep)
    assert again.ids.tolist() == whole.ids.tolist()
    assert sorted(searched) == list(range(len(kept)))
    assert len(kept) > 6


def test_several_sources_are_fused_and_told() -> None:
    """A passage that BM25 alone puts first is found; ranks in both lists are those of each."""
    rows = [row(n, f"q{n}", [f"passage {n}"]) for n in range(6)]
    rows[0]["query"] = "passage 4 asked"
    pool = pool_of(*rows)
    config = MiningConfig(
        negatives=5, depth=6, max_depth=0, sources=("dense", "bm25"), max_positive_ratio=0.0
    )
    bm25 = Bm25Index.build(pool.passages, analyser("en"))
    mined, scores, _ = run(pool, config, bm25=bm25)
    place = mined.ids[0].tolist().index(4)
    ranks = mined.source_ranks[0, place].tolist()
    dense = np.argsort(-scores[0], kind="stable")[:6].tolist()
    assert ranks == [dense.index(4), 0]
    assert mined.scores[0, place] == pytest.approx(scores[0, 4], abs=1e-6)  # the encoder's own


def test_rescoring_reorders_what_margins_judge() -> None:
    """The second score decides order and margins; the first stays beside it."""
    pool = pool_of(*(row(n, f"q{n}", [f"passage {n}"]) for n in range(6)))
    config = MiningConfig(negatives=3, depth=6)
    queries, passages = vectors(pool, 1)
    search = PoolSearch(pool, config, queries, passages)

    def better(rows: Ids, numbers: Ids) -> Scores:
        return (10.0 - numbers).astype(np.float32)

    bounds = np.full(6, 9.5, np.float32)
    mined = mine(pool, search, Scoring(search.dense_scores, better), bounds, config)
    assert mined.ids[0].tolist() == [1, 2, 3]  # 9 is below 0.95 · 9.5 = 9.025
    assert mined.teachers[0].tolist() == [9.0, 8.0, 7.0]
    np.testing.assert_allclose(mined.scores[0], (queries @ passages.T)[0, [1, 2, 3]], atol=1e-6)
    order = np.argsort(-(queries @ passages.T)[0], kind="stable").tolist()
    assert mined.ranks[0].tolist() == [order.index(i) for i in (1, 2, 3)]


def filled(pool: Pool, config: MiningConfig) -> Mined:
    mined = nothing(len(pool), config)
    queries, passages = vectors(pool, 2)
    search = PoolSearch(pool, config, queries, passages)
    fill_at_random(pool, mined, Scoring(search.dense_scores), config)
    return mined


def big_pool(passages: int, **options: Any) -> Pool:
    empty = dict.fromkeys(PASSAGE.names, "")
    corpus = [empty | {"text": f"filler {n}", "id": f"f{n}"} for n in range(passages)]
    rows = [row(n, f"q{n}", [f"answer {n}"]) for n in range(40)]
    return pool_of(*rows, corpus=[pa.Table.from_pylist(corpus, PASSAGE)], **options)


@pytest.mark.parametrize("passages", [50, 3000], ids=["small", "large"])
def test_random_negatives_are_drawn_from_the_pool(passages: int) -> None:
    """As many as wanted, distinct, no positives, scored; other rows draw others."""
    config = MiningConfig(negatives=5, negatives_from="random")
    pool = big_pool(passages)
    mined = filled(pool, config)
    assert (mined.counts == 5).all()
    for query, ids in enumerate(mined.ids.tolist()):
        assert len(set(ids)) == 5
        assert not set(ids) & set(pool.positives.of(query).tolist())
    assert len({tuple(ids) for ids in mined.ids.tolist()}) == 40
    assert np.isfinite(mined.scores).all()
    assert (mined.ranks == -1).all()
    used = np.bincount(mined.ids.ravel(), minlength=len(pool.passages))
    assert used.max() < 15


def test_filling_up_keeps_what_was_mined() -> None:
    """Mined ones stay in front, none comes twice, and the count is what was wanted."""
    config = MiningConfig(negatives=4, starved="random")
    pool = big_pool(60)
    mined = nothing(len(pool), config)
    mined.ids[:, 0], mined.ranks[:, 0] = 50, 0
    queries, passages = vectors(pool, 2)
    search = PoolSearch(pool, config, queries, passages)
    drawn = fill_at_random(pool, mined, Scoring(search.dense_scores), config)
    assert drawn.all()
    assert (mined.ids[:, 0] == 50).all()
    assert all(len(set(ids)) == 4 and -1 not in ids for ids in mined.ids.tolist())


def test_a_pool_smaller_than_wanted_ends() -> None:
    """Two passages cannot give 7 negatives: one is what there is."""
    config = MiningConfig(negatives=7, starved="random")
    pool = pool_of(row(0, "a", ["A"]), row(1, "b", ["B"]))
    assert filled(pool, config).counts.tolist() == [1, 1]
    mined, *_ = run(pool, MiningConfig(negatives=7, max_positive_ratio=0.0))
    assert mined.counts.tolist() == [1, 1]
    assert mined.exhausted.all()
    assert mined.removed[:, RULES.index("positive")].tolist() == [1, 1]
