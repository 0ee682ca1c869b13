"""Candidates and clusters against brute force and union-find."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import clusters
from curation.clusters import BAND, EDGE, LINK, Rows

KEYS = [3, 2**63, 2**64 - 1, 2**32, 7, 2**33 + 1, 11, 2**62]
bands = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(KEYS)), max_size=30)
graphs = st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(KEYS)), max_size=14)


def components(edges: list[tuple[int, int]]) -> dict[int, int]:
    """Return the smallest key of each node's component, by brute force."""
    smallest = {node: node for edge in edges for node in edge}
    for _ in smallest:
        for low, high in edges:
            smallest[low] = smallest[high] = min(smallest[low], smallest[high])
    return smallest


@given(rows=bands)
@settings(deadline=None, max_examples=100)
def test_candidates_connect_each_bucket(rows: list[tuple[int, int]]) -> None:
    """Edges stay inside buckets, connect them, and are all pairs of buckets of up to three."""
    found = clusters.candidate_edges(np.array(rows, BAND))
    edges = {(int(e["low"]), int(e["high"])) for e in found}
    buckets: dict[int, set[int]] = {}
    for band, key in rows:
        buckets.setdefault(band, set()).add(key)
    allowed = {pair for b in buckets.values() for pair in combinations(sorted(b), 2)}
    assert edges <= allowed
    assert len(found) == len(edges) <= 2 * len(rows)
    for bucket in buckets.values():
        pairs = set(combinations(sorted(bucket), 2))
        assert len(bucket) > 3 or pairs <= edges
        assert components(sorted(pairs)) == components(sorted(pairs & edges))


def rounds(links: Rows, shards: int, number: int) -> Rows:
    """Run rounds of which each shard sees only its own nodes."""
    for _ in range(number):
        owner = clusters.shard_of(links["node"], shards)
        parts = [clusters.hash_to_min(links[owner == shard]) for shard in range(shards)]
        links = np.concatenate(parts)
    return links


@given(edges=graphs, shards=st.integers(1, 5))
@settings(deadline=None, max_examples=100)
def test_rounds_end_in_the_components(edges: list[tuple[int, int]], shards: int) -> None:
    """Every node learns the smallest key of its component, in any number of shards."""
    edges = [(min(e), max(e)) for e in edges if e[0] != e[1]]
    links = rounds(clusters.links_of(np.array(edges, EDGE)), shards, 8)
    found, unsettled = clusters.centers(links)
    assert unsettled == 0
    assert {int(r["node"]): int(r["member"]) for r in found} == components(edges)


def test_a_chain_that_is_too_long_is_noticed() -> None:
    """Too few rounds leave nodes unsettled; each still has one center of its own component."""
    keys = np.random.default_rng(0).permutation(200).astype(np.uint64)
    low, high = np.minimum(keys[1:], keys[:-1]), np.maximum(keys[1:], keys[:-1])
    links = clusters.links_of(clusters.rows_of(EDGE, low, high))
    found, unsettled = clusters.centers(rounds(links, 3, 2))
    assert unsettled > 0
    assert len(found) == 200
    found, unsettled = clusters.centers(rounds(links, 3, 12))
    assert (unsettled, np.unique(found["member"]).tolist()) == (0, [0])


@pytest.mark.parametrize("shards", [1, 2, 3, 7, 64, 1000, 4096])
def test_shards_are_ranges(shards: int) -> None:
    """Ranges follow one another without a gap and agree with `shard_of`."""
    edges = [clusters.shard_range(shard, shards) for shard in range(shards)]
    assert edges[0][0] == 0
    assert edges[-1][1] == 2**64 - 1
    assert all(a[1] + 1 == b[0] for a, b in pairwise(edges))
    values = np.array([v for edge in edges for v in edge], np.uint64)
    assert clusters.shard_of(values, shards).tolist() == [i // 2 for i in range(2 * shards)]


@pytest.mark.parametrize(("size", "count"), [(0, 4), (1 << 27, 8), (1 << 60, 4096)])
def test_shards_grow_with_the_input(size: int, count: int) -> None:
    """Few shards for little, bounded for much."""
    assert clusters.shard_count(size) == count


def test_nothing_gives_nothing() -> None:
    """Empty shards pass through every step."""
    assert len(clusters.candidate_edges(np.empty(0, BAND))) == 0
    assert len(clusters.hash_to_min(np.empty(0, LINK))) == 0
    assert clusters.centers(np.empty(0, LINK))[1] == 0


def test_a_thin_key_has_12_bytes_a_band() -> None:
    """14 bands are 168 bytes a document."""
    assert BAND.itemsize == 12
    assert LINK.itemsize == EDGE.itemsize == 16
