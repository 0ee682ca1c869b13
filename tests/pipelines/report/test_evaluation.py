"""The page of an evaluation: every number of metrics.json, nothing of the data as HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from pipelines.evaluation import facts
from pipelines.evaluation.config import EvaluationConfig
from pipelines.evaluation.results import SetResult, assemble
from pipelines.report import lines
from pipelines.report.evaluation import page
from tests.pipelines.evaluation.folders import of_lengths

EVIL = "<script>alert('x')</script><img src=x onerror=alert(1)>"
MODES = ("dense", "sparse")


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "path", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def values(seed: int) -> dict[str, dict[str, float]]:
    generator = np.random.default_rng(seed)
    names = ("nDCG@10", "Recall@20", "Recall@100", "MRR@10")
    return {f"q{i}": dict.fromkeys(names, float(v)) for i, v in enumerate(generator.random(12))}


def results(models: tuple[str, ...] = ("before", "after")) -> dict[str, Any]:
    sets = []
    for name, code in (("x-ar", "ar"), ("x-de", "de"), (EVIL, "")):
        one = SetResult(name, name[:1] if code else name, code, code, 12, 30)
        for m, model in enumerate(models):
            one.values[model] = {mode: values(2 * m + n) for n, mode in enumerate(MODES)}
            row = {"recall": [0.1 * i for i in range(len(facts.DEPTHS))]}
            bins = {f"q{i}": 7 + i % 2 for i in range(12)}
            one.facts[model] = {
                mode: row | {"lengths": facts.by_length(found, bins)}
                for mode, found in one.values[model].items()
            }
            found = {"text": f"found {EVIL}", "is_relevant": True}
            example = {"query": EVIL, "better": "dense", "dense": 1.0, "sparse": 0.0}
            one.examples[model] = [
                example | {"relevant": [EVIL], "found": {"dense": [found], "sparse": []}}
            ]
        sets.append(one)
    head = {"precision": "fp32", "models": [{"name": m, "kind": "m3"} for m in models]}
    return assemble(sets, EvaluationConfig(resamples=50), head)


def test_a_page_shows_every_mean_and_escapes_everything() -> None:
    found = results()
    html = page(EVIL, found)
    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    assert not {"script", "img", "iframe"} & set(tags.seen)
    assert html.count("&lt;script&gt;") >= 5
    for one in found["sets"]:
        for row in one["scores"]:
            assert f"{row['measures']['nDCG@10']['mean']:.4f}" in html
            assert f"{row['measures']['nDCG@10']['low']:.3f}–" in html
    headings = re.findall("<h2>(.*?)</h2>", html)
    assert headings[0] == "x"
    assert headings[-4:] == [
        "Recall by depth",
        "Quality by document length",
        "Differences",
        "Where dense and sparse disagree",
    ]


def test_one_model_has_nothing_to_differ_from() -> None:
    html = page("run", results(("mine",)))
    assert "Differences" not in html
    assert "mine dense" in html


def test_the_best_of_a_column_stands_out() -> None:
    """One cell a column, where no two are equal."""
    html = page("run", results())
    first = html.partition("<tbody>")[2].partition("</tbody>")[0]
    assert first.count('class="n best"') == 3


def test_curves_stay_in_their_frame() -> None:
    chart = lines.chart([("a", [(0.0, -1.0), (1.0, 2.0)]), ("b", [(0.5, 0.5)])], "label")
    _, *paths = re.findall(r'd="([^"]*)"', chart)
    assert paths[0] == "M4.0 148.0L316.0 2.0"
    assert paths[1].endswith("h6")
    assert 'aria-label="label: a, b"' in chart


def test_lengths_are_powers_of_two() -> None:
    data = of_lengths({"q0": 100, "q1": 128, "q2": 129})
    assert facts.lengths(data) == {"q0": 7, "q1": 7, "q2": 8}
    values = {q: {"nDCG@10": v} for q, v in (("q0", 1.0), ("q1", 0.5), ("q2", 0.0))}
    assert facts.by_length(values, facts.lengths(data)) == {"7": [2, 0.75], "8": [1, 0.0]}


def test_recall_by_depth_is_trec_evals() -> None:
    run = {"q": {f"d{i}": 100.0 - i for i in range(60)}}
    judged = {"q": {"d0": 1, "d4": 1, "d59": 1, "far": 1}, "lost": {"d0": 1}}
    assert facts.recall_curve(run, judged) == pytest.approx(
        [0.125, 0.125, 0.125, 0.25, 0.25, 0.25, 0.25, 0.375]
    )


def test_disagreements_are_the_largest_each_way() -> None:
    data = of_lengths({f"q{i}": 10 for i in range(6)})
    gains = {"dense": [1, 1, 1, 1, 0, 0.5], "sparse": [0, 0.2, 0.5, 0.3, 1, 0.5]}
    found = {m: {q: {"q0-d": 2.0, "q1-d": 1.0} for q in data.query_ids} for m in gains}
    by_mode = {
        mode: {q: {"nDCG@10": v} for q, v in zip(data.query_ids, listed, strict=True)}
        for mode, listed in gains.items()
    }
    shown = facts.disagreements(found, by_mode, data.judgements, data)
    assert [(row["query"], row["better"]) for row in shown] == [
        ("text of q0", "dense"),
        ("text of q1", "dense"),
        ("text of q3", "dense"),
        ("text of q4", "sparse"),
    ]
    first = shown[0]["found"]["dense"]
    assert [row["is_relevant"] for row in first] == [True, False]
    assert facts.disagreements({"bm25": {}}, {}, {}, data) == []
