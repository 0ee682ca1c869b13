"""Hard negatives against plain loops: what may never be one, and which are chosen."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mining.config import FILTERS, MiningConfig
from mining.groups import text_keys
from mining.links import Links
from mining.negatives import RULES, Candidates, choose, needed, usable_candidates
from mining.pool import Pool
from mining.texts import Texts
from tests.mining.pools import pool_of, random_rows, row

SEEDS = st.integers(0, 2**31)


def folded(text: str) -> str:
    return " ".join(text.casefold().split())


def translations(seed: int) -> tuple[Links, list[set[str]]]:
    """Links between texts of `random_rows`, and their components by hand."""
    draw = np.random.default_rng(seed)
    names = [f"query {n}" for n in range(6)]
    edges = [(names[a], names[b]) for a, b in draw.integers(0, 6, (3, 2)).tolist()]
    none = np.zeros(0, np.uint64)
    left, right = (text_keys(Texts.of(side), fold=True) for side in zip(*edges, strict=True))
    components = [{a, b} for a, b in edges]
    for _ in edges:
        components = [set.union(*(c for c in components if c & own)) for own in components]
    return Links(none, none, left, right), components


def scenario(seed: int, queries: int = 5) -> tuple[Pool, Candidates, list[set[str]]]:
    """A pool in which every rule applies somewhere, and random candidates in random order."""
    draw = np.random.default_rng(seed)
    links, components = translations(seed)
    rows = random_rows(draw, queries)
    rows += [row(100 + n, f"about {n}", [f"query {n}"]) for n in range(4)]
    pool = pool_of(*rows, links=links, negatives=3)
    count, width = len(pool), min(12, len(pool.passages))
    ids = np.stack([draw.permutation(len(pool.passages))[:width] for _ in range(count)])
    ids[draw.random(count) < 0.2, -2:] = -1
    scores = -np.sort(-draw.uniform(-1, 1, ids.shape).astype(np.float32), axis=1)
    positive = draw.uniform(-1, 1, count).astype(np.float32)
    return pool, Candidates(np.arange(count), ids, scores, positive), components


def reason(
    pool: Pool, found: Candidates, query: int, column: int, config: MiningConfig, linked: Any
) -> str | None:
    """Return the first rule that removes a candidate, by plain Python."""
    texts, groups = pool.passages[:], pool.groups
    passage = int(found.ids[query, column])
    own = [i for i in range(len(pool)) if pool.questions[i] == pool.questions[query]]
    known = {int(p) for i in own for p in pool.positives.of(i)}
    asked = pool.rows["query"][query].as_py()
    documents = {int(groups.document[p]) for p in known} | {
        int(d) for d in pool.query_documents[query]
    }
    spoken = {folded(asked), *(folded(texts[p]) for p in known)}
    earlier = [p for p in found.ids[query, :column].tolist() if p >= 0]
    alike = groups.near_duplicate if "near_duplicate" in config.filters else groups.text
    best, score = float(found.positive_scores[query]), float(found.scores[query, column])
    hits = {
        "positive": passage in known,
        "same_text": folded(texts[passage]) in {folded(texts[p]) for p in known},
        "near_duplicate": groups.near_duplicate[passage]
        in {groups.near_duplicate[p] for p in known},
        "same_document": groups.document[passage] in documents - {-1},
        "same_title": "\n" in texts[passage]
        and texts[passage].split("\n")[0]
        in {texts[p].split("\n")[0] for p in known if "\n" in texts[p]},
        "equals_query": folded(texts[passage]) == folded(asked),
        "translation": any(folded(texts[passage]) in c and c & spoken for c in linked),
        "labelled_negative": folded(texts[passage])
        in {folded(texts[n]) for n in pool.negatives.of(query)},
        "repeated_text": alike[passage] in {alike[p] for p in earlier},
        "above_max_score": config.max_score is not None and score > config.max_score,
        "within_absolute_margin": config.absolute_margin is not None
        and score > best - config.absolute_margin,
        "too_close_to_positive": bool(config.max_positive_ratio)
        and score > best - (1 - config.max_positive_ratio) * abs(best),
    }
    wanted = [r for r in RULES if r not in FILTERS or r in config.filters]
    return next((rule for rule in wanted if hits[rule]), None)


CONFIGS = [
    {},
    {"filters": ()},
    {"filters": ("same_title", "translation"), "max_score": 0.4},
    {"filters": ("same_document", "equals_query"), "absolute_margin": 0.1},
    {"max_positive_ratio": 0.0},
    {"max_positive_ratio": 1.2, "max_score": 0.0, "absolute_margin": 0.0},
]


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.sampled_from(CONFIGS))
def test_mask_equals_plain_loops(seed: int, options: dict[str, Any]) -> None:
    """Each candidate is kept, or counted under the first rule that removes it."""
    pool, found, linked = scenario(seed)
    config = MiningConfig(negatives=3, **options)
    chosen = choose(pool, found, config)
    for query in range(len(pool)):
        real = [c for c in range(found.ids.shape[1]) if found.ids[query, c] >= 0]
        why = {c: reason(pool, found, query, c, config, linked) for c in real}
        counts = Counter(rule for rule in why.values() if rule)
        assert dict(zip(RULES, chosen.removed[query].tolist(), strict=True)) == {
            rule: counts[rule] for rule in RULES
        }
        survivors = [c for c in real if why[c] is None]
        assert chosen.survivors[query] == len(survivors)
        room = max(0, 3 - len(pool.negatives.of(query)))
        picked = survivors[:room]
        gap = [-1] * (3 - len(picked))
        assert chosen.ranks[query].tolist() == picked + gap
        assert chosen.ids[query].tolist() == found.ids[query, picked].tolist() + gap
        assert chosen.scores[query, : len(picked)].tolist() == found.scores[query, picked].tolist()
        assert np.isnan(chosen.scores[query, len(picked) :]).all()


def test_every_rule_was_met() -> None:
    """The scenarios of the test above are not empty: each rule removes something."""
    removed: Counter[str] = Counter()
    for seed in range(60):
        pool, found, _ = scenario(seed)
        config = MiningConfig(negatives=3, max_score=0.6, absolute_margin=0.01)
        removed.update(
            dict(zip(RULES, choose(pool, found, config).removed.sum(0).tolist(), strict=True))
        )
    assert [rule for rule in RULES if not removed[rule]] == []


def plain(depth: int = 8, positive: float = 1.0, **options: Any) -> tuple[Pool, Candidates]:
    """One row and `depth` other passages with scores 0.9, 0.8 …"""
    rows = [row(n, f"q{n}", [f"passage number {n}"]) for n in range(depth + 1)]
    pool = pool_of(*rows, **options)
    scores = np.linspace(0.9, 0.9 - 0.1 * (depth - 1), depth, dtype=np.float32)[None]
    ids = np.arange(1, depth + 1)[None]
    return pool, Candidates(np.array([0]), ids, scores, np.array([positive], np.float32))


@pytest.mark.parametrize(
    ("positive", "ratio", "ranks"),
    [
        (1.0, 0.85, [1, 2, 3]),
        (1.0, 1.0, [0, 1, 2, 3]),
        (0.75, 1.0, [2, 3]),
        (0.0, 0.5, []),
        (-0.1, 0.5, []),
        (0.2, 4.6, [0, 1, 2, 3]),
        (-0.1, 0.0, [0, 1, 2, 3]),
    ],
)
def test_ratio_by_hand(positive: float, ratio: float, ranks: list[int]) -> None:
    """Scores 0.9, 0.8, 0.7, 0.6 against ratio · positive; 0 turns the margin off."""
    pool, found = plain(4, positive)
    chosen = choose(pool, found, MiningConfig(max_positive_ratio=ratio))
    assert chosen.ranks[0, : len(ranks) + 1].tolist() == [*ranks, -1]


def test_ratio_lies_below_a_negative_positive() -> None:
    """-0.5 with ratio 0.9 allows candidates up to -0.55, not up to -0.45."""
    pool, found = plain(4, -0.5)
    scores = np.array([[-0.48, -0.52, -0.54, -0.56]], np.float32)
    found = Candidates(found.rows, found.ids, scores, found.positive_scores)
    assert choose(pool, found, MiningConfig(max_positive_ratio=0.9)).ranks[0, :2].tolist() == [
        3,
        -1,
    ]


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.integers(0, 4), st.integers(0, 3), st.integers(0, 3))
def test_window_counts_survivors(seed: int, negatives: int, first: int, more: int) -> None:
    """Ranks first_rank .. last_rank - 1 of what survives; removed candidates use none up."""
    pool, found, _ = scenario(seed)
    last = first + negatives + more if more else 0
    config = MiningConfig(negatives=negatives, first_rank=first, last_rank=last)
    free = choose(pool, found, MiningConfig(negatives=50))
    chosen = choose(pool, found, config)
    listed = pool.negatives.counts
    for query in range(len(pool)):
        room = max(0, negatives - listed[query])
        if listed[query]:
            continue  # their room differs between the two
        survivors = [r for r in free.ranks[query].tolist() if r >= 0]
        window = survivors[first : last or None]
        assert [r for r in chosen.ranks[query].tolist() if r >= 0] == window[:room]
        assert chosen.survivors[query] == len(window)


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.sampled_from(["random", "simans"]))
def test_draws_do_not_depend_on_the_batch(seed: int, sampling: str) -> None:
    """Rows one by one, in another order or all together have the same negatives."""
    pool, found, _ = scenario(seed)
    config = MiningConfig(negatives=2, sampling=sampling, max_positive_ratio=0.0, seed=seed % 7)
    whole = choose(pool, found, config)
    order = np.random.default_rng(seed).permutation(len(pool))
    for query in order.tolist():
        one = slice(query, query + 1)
        alone = Candidates(
            found.rows[one], found.ids[one], found.scores[one], found.positive_scores[one]
        )
        assert choose(pool, alone, config).ids.tolist() == whole.ids[one].tolist()


def test_random_takes_every_survivor_about_equally_often() -> None:
    """Of 8 survivors, 2 drawn: each in a quarter of 400 seeds; ranks ascend, none comes twice."""
    pool, found = plain()
    drawn: Counter[int] = Counter()
    for seed in range(400):
        chosen = choose(pool, found, MiningConfig(negatives=2, sampling="random", seed=seed))
        first, second = chosen.ranks[0].tolist()
        assert first < second
        drawn.update((first, second))
    assert sorted(drawn) == list(range(8))
    assert all(60 < n < 140 for n in drawn.values()), drawn  # 100 with deviation 9


def test_simans_draws_by_its_weights() -> None:
    """One of 8: the frequencies over 4,000 seeds are exp(-a (s - s⁺ - b)²), normalised."""
    pool, found = plain()
    config = {"negatives": 1, "sampling": "simans", "simans_a": 30.0, "simans_b": -0.4}
    drawn: Counter[int] = Counter()
    for seed in range(4000):
        drawn[int(choose(pool, found, MiningConfig(seed=seed, **config)).ranks[0, 0])] += 1
    weights = np.exp(-30.0 * (found.scores[0].astype(float) - 1.0 + 0.4) ** 2)
    shares = np.array([drawn[i] for i in range(8)]) / 4000
    np.testing.assert_allclose(shares, weights / weights.sum(), atol=0.03)  # 3.8 deviations


def test_simans_bears_weights_that_underflow() -> None:
    """exp(-10^6 …) is 0 for all; the nearest score is drawn still."""
    pool, found = plain()
    config = MiningConfig(negatives=1, sampling="simans", simans_a=1e6, simans_b=-0.42)
    assert choose(pool, found, config).ranks.tolist() == [[3]]  # 0.6 against 0.58


def test_rows_need_what_labelled_negatives_leave() -> None:
    """Of 3 wanted, a row with 2 named ones needs one; one with 5 none."""
    rows = [
        row(0, "a", ["p"], negatives=["m", "n"]),
        row(1, "b", ["q"], negatives=list("abcde")),
        row(2, "c", ["r"]),
    ]
    pool = pool_of(*rows, negatives=3)
    config = MiningConfig(negatives=3)
    assert needed(pool, np.arange(3), config).tolist() == [1, 0, 3]


def test_no_negatives_at_all() -> None:
    """Zero is a number too."""
    pool, found = plain()
    assert choose(pool, found, MiningConfig(negatives=0)).ids.shape == (1, 0)


def test_many_positives_are_found_too() -> None:
    """500 positives of one question: none of them is usable, and no array of 500 wide is made."""
    rows = [row(n, "the same question", [f"answer {n}"]) for n in range(500)]
    pool = pool_of(*rows, row(900, "another", ["something else"]))
    ids = np.tile(np.arange(501), (501, 1))
    zeros = np.zeros(ids.shape, np.float32)
    found = Candidates(np.arange(501), ids, zeros, zeros[:, 0])
    usable, removed = usable_candidates(pool, found, MiningConfig(filters=()))
    assert usable[:500].sum() == 500
    assert usable[:500, 500].all()
    assert removed[:, RULES.index("positive")].tolist() == [500] * 500 + [1]
