"""What parts note for the report adds up to the same, however the rows were cut into parts."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.draw import rank
from curation.records import PAIR
from pipelines.report import bins, charts
from pipelines.report.facts import SAMPLES, Facts, table_facts, total
from tests.pipelines.report import builders

TABLES = {
    "documents": builders.documents(60),
    "pairs": builders.pairs(60),
    "rejects": builders.rejects(60),
}


@pytest.mark.parametrize("kind", list(TABLES))
@settings(deadline=None, max_examples=15)
@given(cuts=st.lists(st.integers(0, 60), max_size=5), order=st.randoms(use_true_random=False))
def test_facts_of_parts_add_up(kind: str, cuts: list[int], order: random.Random) -> None:
    """Any cut, in any order, through JSON, gives the facts of the whole table."""
    table = TABLES[kind]
    edges = [0, *sorted(cuts), table.num_rows]
    pieces = [table.slice(low, high - low) for low, high in itertools.pairwise(edges)]
    order.shuffle(pieces)
    found = total(json.loads(json.dumps(table_facts(kind, p).to_json())) for p in pieces)
    assert found.to_json() == total([table_facts(kind, table).to_json()]).to_json()


def test_counts_are_those_of_the_rows() -> None:
    """Every measure counts each row once; by language and relation the parts make the whole."""
    facts = table_facts("pairs", TABLES["pairs"])
    assert facts.counts["pairs|positive_tokens||"].total() == 60
    by_language = [facts.counts[f"pairs|positive_tokens|language|{x}"] for x in ("en", "fr")]
    assert by_language[0] + by_language[1] == facts.counts["pairs|positive_tokens||"]
    by_relation = facts.counts["pairs|query_tokens|relation|section"]
    assert by_relation == Counter({bins.PER_OCTAVE * 2: 30})  # 4 tokens each: 2 ** 2
    assert "pairs|query_tokens|language|en" not in facts.counts


def test_every_quality_score_has_a_histogram() -> None:
    """A score that is added to the schema shows up by itself."""
    facts = table_facts("documents", TABLES["documents"])
    names = {f.name for f in TABLES["documents"].schema.field("quality").type}
    assert {f"documents|{name}||" for name in (*names, "language_score")} <= set(facts.counts)
    shares = facts.counts["documents|language_score||"]
    assert set(shares) <= set(range(bins.NOTHING, bins.UNIT_BINS))
    assert shares.total() == 60


def test_null_values_are_not_counted() -> None:
    """A column that only some rows fill counts these."""
    table = TABLES["pairs"].append_column("score", pa.array([1.5, None] * 30, pa.float32()))
    assert table_facts("pairs", table).counts["pairs|score||"].total() == 30
    empty = TABLES["pairs"].append_column("score", pa.nulls(60, pa.float32()))
    assert table_facts("pairs", empty).counts == table_facts("pairs", TABLES["pairs"]).counts


def test_samples_are_the_smallest_hashes() -> None:
    """Of each relation and source the three ids that come first in the draw, cut short."""
    facts = table_facts("pairs", TABLES["pairs"])
    assert set(facts.samples) == {"pairs|section|wiki|odd", "pairs|title-body|wiki|odd"}
    for key, rows in facts.samples.items():
        relation = key.split("|")[1]
        ids = [r["id"] for r in TABLES["pairs"].to_pylist() if r["relation"] == relation]
        assert [row["id"] for row in rows] == sorted(ids, key=lambda i: rank(i, "sample"))[:SAMPLES]
        assert all(len(row["positive"]) <= 401 for row in rows)


def test_an_empty_table_has_no_facts() -> None:
    assert table_facts("pairs", PAIR.empty_table()) == Facts()


@pytest.mark.parametrize(
    ("value", "scale", "expected"),
    [
        (0.0, "unit", -1),
        (0.05, "unit", 10),
        (1.0, "unit", 199),
        (7.0, "unit", 199),
        (-1, "unit", -1),
        (0, "log", bins.ZERO),
        (1, "log", 0),
        (2, "log", 4),
        (1024, "log", 40),
        (0.5, "log", -4),
    ],
)
def test_bins(value: float, scale: str, expected: int) -> None:
    """Shares in two hundredths, clipped; lengths in quarters of a doubling; zero apart."""
    assert bins.bins_of(np.array([value]), scale).tolist() == [expected]


@given(values=st.lists(st.integers(1, 10**6), min_size=1, max_size=50), share=st.floats(0.01, 1))
def test_a_quantile_is_within_its_bin(values: list[int], share: float) -> None:
    """The value read off a histogram is within a quarter octave of the true one."""
    counted = bins.count(bins.bins_of(np.array(values), "log"))
    true = sorted(values)[max(0, int(np.ceil(share * len(values) - 1e-9)) - 1)]
    found = bins.quantile(counted, share, "positive_tokens")
    if true < 6:
        assert found == true
    assert true / 2**0.251 <= found <= true * 2**0.251


def test_a_quantile_of_shares_is_interpolated() -> None:
    """Halfway through the only bin filled; nothing counted is 0."""
    assert bins.quantile(Counter({100: 4}), 0.5, "letter_share") == pytest.approx(0.5025)
    assert bins.quantile(Counter(), 0.5, "letter_share") == 0.0
    assert bins.quantile(Counter({bins.ZERO: 3}), 0.5, "words") == 0.0


@pytest.mark.parametrize(
    ("filled", "low", "high", "ends"),
    [
        ({bins.NOTHING: 90, 3: 10}, 0.0, 0.1, (90, 0)),
        ({bins.NOTHING: 9990, 199: 1}, 0.0, 0.1, (9990, 1)),
        ({199: 9, 185: 1}, 0.9, 1.0, (0, 9)),
        ({0: 5, 199: 5}, 0.0, 1.0, (5, 5)),
        ({60: 5, 99: 5}, 0.0, 0.5, (0, 5)),
    ],
    ids=["low", "outlier", "high", "both", "half"],
)
def test_the_axis_of_shares_fits_nearly_all(
    filled: dict[int, int], low: float, high: float, ends: tuple[int, int]
) -> None:
    """The shortest axis is taken; no row is left out of the bars."""
    found, *edges = charts.unit_bars({str(bin_): n for bin_, n in filled.items()})
    assert edges == [low, high]
    assert sum(found.values()) == sum(filled.values())
    assert (found.get(0, 0), found.get(charts.UNIT_BARS - 1, 0)) == ends
