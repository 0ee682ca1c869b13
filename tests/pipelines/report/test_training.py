"""The training report and the model card: whole, deterministic, nothing of the data unescaped."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import pytest

from pipelines.report import model_card, training
from pipelines.report.curves import POINTS, curve, thinned

HOSTILE = '<script>alert(1)</script>"|`'


def step(phase: str, number: int, **changes: Any) -> dict[str, Any]:
    values = {
        "phase": phase,
        "step": number,
        "steps": 3,
        "share": number / 6,
        "loss": 3.0 / number,
        "parts": {"dense": 2.0 / number, "multi_vector": 1.0 / number},
        "counts": {"queries": 4, "passages": 8},
        "rows": 4,
        "tokens": 100,
        "cut": 1,
        "seconds": 0.5,
        "learning_rate": 1e-3 * number,
        "gradient_norm": 0.5,
    }
    return values | changes


def judgement(phase: str, number: int, value: float, *, is_best: bool) -> dict[str, Any]:
    measures = {"nDCG@10": value, "Recall@20": value, "Recall@100": value}
    scores = {"dense": measures, "sparse": measures}
    return {"phase": phase, "step": number, "scores": scores, "is_best": is_best}


LINES = [
    *(step("warmup", n) for n in (1, 2, 3)),
    step(HOSTILE, 1),
    judgement(HOSTILE, 1, 0.75, is_best=True),
    step(HOSTILE, 2, loss=float("nan")),
    judgement(HOSTILE, 2, 0.5, is_best=False),
]


class Texts(HTMLParser):
    """Collects tags, texts and attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.texts: list[str] = []
        self.paths: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.paths += [value or "" for name, value in attributes if name == "d"]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_page_shows_every_head_of_every_stage() -> None:
    """Curves of losses by stage, course, retrieval; a table of what was read."""
    page = training.page(HOSTILE, LINES)
    found = Texts(page)
    assert found.tags["script"] == 0
    assert f"Training of {HOSTILE}" in found.texts
    titles = [t for t in found.texts if t.startswith(("Losses of", "Held-out"))]
    assert titles == ["Losses of warmup", f"Losses of {HOSTILE}", f"Held-out queries in {HOSTILE}"]
    assert found.tags["svg"] == 2 * 3 + 3 + 4
    assert found.texts.count("multi vector") == 2
    assert "Retrieval for held-out queries at 2 points; best at step 1." in found.texts
    assert not [path for path in found.paths if "nan" in path or "inf" in path]
    assert "http" not in page.replace("http-equiv", "")
    row = found.texts[found.texts.index("time") + 1 :]
    assert row[:6] == ["warmup", "3", "12", "300", "3", "0:02"]


def test_a_page_of_no_step_is_a_page() -> None:
    assert "Training of x" in Texts(training.page("x", [])).texts


@pytest.mark.parametrize("count", [0, 1, 2, POINTS, POINTS + 1, 1234])
def test_a_curve_has_few_points_and_the_mean_of_all(count: int) -> None:
    values = [float(i) for i in range(count)]
    found = thinned(values)
    assert len(found) == min(count, POINTS)
    if count:
        assert found == sorted(found)
        assert sum(found) / len(found) == pytest.approx(sum(values) / count, rel=0.01)
        numbers = [
            float(n) for n in re.findall(r"[-\d.]+", re.findall(r'd="(.*)"', curve(values, ""))[0])
        ]
        assert all(-0.1 <= n <= 200 for n in numbers)
        assert (numbers[0], numbers[-2]) == (0, 200)


DESCRIPTION: dict[str, Any] = {
    "name": HOSTILE,
    "fingerprint": "0123",
    "config": {"model": {"encoder": "x/y", "max_query_tokens": 64, "max_passage_tokens": 512}},
}
INPUTS = {"training": {"rows": 12, "bytes": 5_000_000, "parts": [{"name": "a", "sha256": "b"}]}}
ROWS = Counter({("training", HOSTILE, "title-body", "pt_BR"): 9, ("training", "b", "", "no"): 3})


def test_the_card_tells_data_config_metrics_and_versions() -> None:
    toml = f"[model]\nencoder = {json.dumps('a```b')}\n"
    card = model_card.card(DESCRIPTION, INPUTS, ROWS, LINES, toml)
    _, header, body = card.split("---\n", 2)
    assert 'language:\n- "no"\n- "pt-BR"\n' in header
    assert 'base_model: "x/y"\n' in header
    assert "license: other\n" in header
    assert "<script>" not in body
    assert r"| training | \<script\>alert(1)\</script\>\"" not in body
    assert "| b |  | no | 3 |" in body
    assert "| warmup | 3 | 12 | 300 | dense 1.222, multi_vector 0.611 |" in body.replace("\\_", "_")
    assert "| dense | 0.7500 | 0.7500 | 0.7500 |" in body
    (block,) = re.findall(r"```toml\n(.*?)\n```", body, re.S)
    assert tomllib.loads(block) == {"model": {"encoder": "a```b"}}
    assert "torch " in body
    assert card == model_card.card(DESCRIPTION, INPUTS, ROWS, LINES, toml)


@pytest.mark.parametrize("encoder", ["pypi:multilingual-e5-small", "/models/a", "a/b\nc: d", ""])
def test_only_a_hub_name_is_a_base_model(encoder: str) -> None:
    description = DESCRIPTION | {
        "config": {"model": DESCRIPTION["config"]["model"] | {"encoder": encoder}}
    }
    card = model_card.card(description, INPUTS, ROWS, [], "")
    assert "base_model" not in card
    assert "\nc: d" not in card
    assert "were not evaluated during training" in card
