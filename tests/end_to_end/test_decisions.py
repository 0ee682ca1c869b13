"""Decisions over a whole corpus: anew from stored scores, and by titles and hosts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from curation import splitting, tokens
from tests import builders
from tests.command_line import digests, leftovers, run
from tests.end_to_end.conftest import Run
from tests.end_to_end.test_outputs import rows_of

CURATED = ("documents", "pairs", "rejects/curate")


def curated(out: Path) -> dict[str, str]:
    """Return the digests of all that curate writes."""
    return digests(*(out / name for name in CURATED))


def refuse(reader: splitting.SplitReader) -> None:
    raise AssertionError("a source was read again")


def refuse_to_count(counter: tokens.TokenCounter, texts: list[str]) -> list[int]:
    raise AssertionError("a text was tokenised again")


def test_another_threshold_reads_no_source(
    finished: Run,
    out_with: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From stored scores, in a folder that moved: the bytes of a run from the beginning."""
    bounds = tmp_path / "bounds.toml"
    bounds.write_text('version = "t"\n[default]\nmax_words = 60\n')
    common = ("curate", "--config", finished.config, "--set", f"curation.thresholds={bounds}")
    fresh = run(*common, "--out", tmp_path / "fresh")
    assert fresh.code == 0, fresh.err
    [scores] = finished.out.glob("scores-*")
    out = out_with(*CURATED, scores.name)
    monkeypatch.setattr(splitting.SplitReader, "__iter__", refuse)
    monkeypatch.setattr(tokens.TokenCounter, "lengths", refuse_to_count)
    result = run(*common, "--out", out)
    assert result.code == 0, result.err
    assert curated(out) == curated(tmp_path / "fresh") != curated(finished.out)
    reasons = Counter(row["reason"] for row in rows_of(out / "rejects/curate"))
    assert reasons["words_too_high"] == 1
    assert reasons["older_version"] == 1
    assert leftovers(out) == []


def test_scores_can_be_dropped(finished: Run, out_with: Callable[..., Path]) -> None:
    """At once where all is up to date; no output changes and none is written anew."""
    [scores] = finished.out.glob("scores-*")
    out = out_with(*CURATED, scores.name)
    kept = run("curate", "--config", finished.config, "--out", out)
    assert f"{out}/{scores.name} holds 0.1 MB of scored documents" in kept.out
    assert (out / scores.name).exists()
    common = ("--config", finished.config, "--out", out, "--set", "curation.keep_scores=false")
    dropped = run("curate", *common)
    assert dropped.out.startswith("curate: up to date")
    assert "scored documents" not in dropped.out
    assert sorted(path.name for path in out.iterdir()) == ["documents", "pairs", "rejects"]


@pytest.fixture
def web(tiny_encoder: str, tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of an output folder from pages of three hosts, some of them titled Home."""

    def make(name: str, files: int, *options: str) -> Path:
        rows: list[object] = [
            {
                "title": "HOME" if i % 4 == 0 else article["title"],
                "text": article["text"],
                "url": f"https://{'abc'[i % 3]}.example/{i}",
            }
            for i, article in enumerate(builders.articles("en", 24))
        ]
        folder = tmp_path / name
        folder.mkdir()
        for number in range(files):
            builders.write_json_lines(folder / f"{number}.json.gz", rows[number::files])
        config = folder / "run.toml"
        config.write_text(WEB.format(out=folder / "out", encoder=tiny_encoder, folder=folder))
        settings = [word for option in options for word in ("--set", f"curation.pairs.{option}")]
        result = run("curate", "--config", config, *settings)
        assert result.code == 0, result.err
        return folder / "out"

    return make


WEB = """\
out = "{out}"
[model]
encoder = "{encoder}"
[[curation.sources]]
kind = "json"
name = "web"
path = "{folder}/*.json.gz"
language = "en"
columns = {{ title = "title", text = "text", url = "url" }}
"""


def test_a_title_of_many_pages_is_generic(web: Callable[..., Path]) -> None:
    """Six pages named alike are too many for a limit of five, and few enough for six."""
    five = web("five", 1, "max_title_frequency=5")
    rejects = Counter(row["reason"] for row in rows_of(five / "rejects/curate"))
    assert rejects == {"generic_title": 6}
    assert len(rows_of(five / "documents")) == 24
    assert {row["query"] for row in rows_of(five / "pairs")}.isdisjoint({"HOME"})
    six = web("six", 1, "max_title_frequency=6")
    assert [row["query"] for row in rows_of(six / "pairs")].count("HOME") == 6


def test_a_host_gives_no_more_pairs_than_its_cap(web: Callable[..., Path]) -> None:
    """Three of each host's eight pairs stay, the same ones for any split of the input."""
    one = web("one", 1, "max_pairs_per_domain=3")
    urls = {row["id"]: row["url"] for row in rows_of(one / "documents")}
    hosts = Counter(urls[row["document_id"]][8] for row in rows_of(one / "pairs"))
    assert hosts == {"a": 3, "b": 3, "c": 3}
    rejects = Counter(row["reason"] for row in rows_of(one / "rejects/curate"))
    assert rejects == {"domain_cap": 15}

    def kept(out: Path) -> list[str]:
        return [row["positive"] for row in rows_of(out / "pairs")]

    assert kept(web("four", 4, "max_pairs_per_domain=3")) == kept(one)
