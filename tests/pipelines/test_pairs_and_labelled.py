"""Translations and labelled sets through the whole of curate, and on into mining."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.config import CurationConfig
from curation.labelled import NOT_MINED
from curation.pairs import PairConfig
from curation.records import TRAINING_ROW, TrainingRow, to_table
from curation.runs import KEY
from curation.tokens import TokenCounter
from pipelines.labelled import merge_labelled
from tests.builders import articles
from tests.command_line import Result, digests, parts_only, run

HEAD = """\
out = "{out}"
[model]
encoder = "{encoder}"
pooling = "mean"
max_query_tokens = 32
max_passage_tokens = 64
[runner]
workers = {workers}
[curation]
part_mb = 0.02
[curation.parallel]
max_translations = 3
[mining]
relations = ["labelled", "parallel"]
limits = {{ parallel = 5 }}
negatives = 3
depth = 30
max_positive_ratio = 10.0
encode.dtype = "fp32"
"""
SOURCES = """
[[curation.sources]]
kind = "parallel"
name = "mined"
format = "nllb"
path = "{data}/mined-*.{{language}}-{{target_language}}.gz"

[[curation.sources]]
kind = "labelled"
name = "asked"
format = "flagembedding"
path = "{data}/asked-*.jsonl"
language = "en"
priority = 1

[[curation.sources]]
kind = "labelled"
name = "judged"
format = "beir"
path = "{data}/judged"
language = "en"

[[curation.sources]]
kind = "hf"
name = "hub"
path = "{data}/hub.parquet"
columns = {{ query = "q", positive = "a", negative = "n" }}
relation = "labelled"
language = "en"
"""
COUNT = 30


def translations() -> list[str]:
    """NLLB rows: 30 translations, one in five below the score, one sentence with 6 of them."""
    pairs = zip(articles("fr", COUNT), articles("en", COUNT), strict=True)
    rows = [
        f"{fr['text']}\t{en['text']}\t{1.0 if i % 5 == 0 else 1.1 + i / 1000}\t0.9"
        for i, (fr, en) in enumerate(pairs)
    ]
    many = [
        f"Ouvrez la porte numéro {i}, s'il vous plaît, et fermez la fenêtre.\t"
        f"Please open the door and close the window.\t{1.2 + i / 100}\t0.9"
        for i in range(6)
    ]
    return [*rows, *many, "Une ligne sans score"]


def question(number: int) -> str:
    return f"Who built the lighthouse of {articles('en', COUNT)[number]['title']}?"


def write_data(folder: Path, files: int) -> None:
    """Write all inputs; `files` says into how many files the lines of each are cut."""
    folder.mkdir()
    texts = [a["text"] for a in articles("en", COUNT)]
    lines = translations()
    asked = [
        {"query": question(i), "pos": [texts[i]], "neg": [texts[(i + 1) % COUNT], texts[5]]}
        for i in range(10)
    ]
    for number in range(files):
        name = folder / f"mined-{number}.fra_Latn-eng_Latn.gz"
        name.write_bytes(gzip.compress("\n".join(lines[number::files]).encode()))
        own = asked[number::files]
        text = "".join(json.dumps(row) + "\n" for row in own)
        (folder / f"asked-{number}.jsonl").write_text(text + '{"query": "who", "pos": [3]}\n')
    judged = folder / "judged"
    judged.mkdir()
    corpus = [{"_id": f"d{i}", "title": "", "text": text} for i, text in enumerate(texts)]
    queries = [{"_id": f"q{i}", "text": question(i).upper()} for i in range(8, 20)]
    (judged / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    (judged / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    golds = [f"q{i}\td{i + (i == 8)}\t1\n" for i in range(8, 20)]
    (judged / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(golds))
    pq.write_table(_hub_table(texts), folder / "hub.parquet")


def _hub_table(texts: list[str]) -> Any:
    rows = [{"q": question(i), "a": texts[i], "n": [texts[0]], "x": i} for i in range(20, COUNT)]
    return pa.Table.from_pylist(rows)


def curate(
    folder: Path, encoder: str, *, files: int = 1, workers: int = 1, sources: str = SOURCES
) -> tuple[Path, Result]:
    """Write a corpus and a config and run curate; return the config."""
    write_data(folder / "data", files)
    config = folder / "run.toml"
    head = HEAD.format(out=folder / "out", encoder=encoder, workers=workers)
    config.write_text(head + sources.format(data=folder / "data"))
    return config, run("curate", "--config", config)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    listed = json.loads((folder / "manifest.json").read_text())
    return [
        row for part in listed["parts"] for row in pq.read_table(folder / part["name"]).to_pylist()
    ]


@pytest.fixture(scope="module")
def finished(
    tiny_encoder: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, Result]:
    """A finished run of curate: its folder, config, and what it said."""
    folder = tmp_path_factory.mktemp("pairs")
    config, result = curate(folder, tiny_encoder)
    assert result.code == 0, result.err
    return folder, config, result


def test_translations_become_pairs_in_both_directions(finished: tuple[Path, Path, Result]) -> None:
    """Scores below the bound are out, and of the sentence with six the three best are left."""
    rows = rows_of(finished[0] / "out/pairs")
    assert Counter((r["query_language"], r["language"]) for r in rows) == {
        ("fr", "en"): 27,
        ("en", "fr"): 27,
    }
    assert all(row["source_score"] > 1.06 for row in rows)
    doors = [r for r in rows if r["query"].startswith("Please open")]
    assert sorted(r["source_score"] for r in doors) == pytest.approx([1.23, 1.24, 1.25])


def test_labelled_rows_are_one_per_question(finished: tuple[Path, Path, Result]) -> None:
    """Two sets share two questions: one agrees on the passage, one adds another."""
    rows = rows_of(finished[0] / "out/labelled")
    assert Counter((r["source"], len(r["positives"])) for r in rows) == {
        ("asked", 1): 9,
        ("asked", 2): 1,
        ("judged", 1): 10,
        ("hub", 1): 10,
    }
    (both,) = (r for r in rows if len(r["positives"]) == 2)
    assert both["query"] == question(8)
    assert both["positive_ids"][1] == "judged:d9"
    texts = [a["text"] for a in articles("en", COUNT)]
    assert both["negatives"] == [texts[5]]  # the other one is a positive in the other set
    (own,) = (r for r in rows if r["query"] == question(5))
    assert own["negatives"] == [texts[6]]
    assert all(r["relation"] == "labelled" and 20 < r["length"] < 500 for r in rows)


def test_rejects_are_counted(finished: tuple[Path, Path, Result]) -> None:
    """Each with its reason; the report counts what the folder holds."""
    folder, _, result = finished
    expected = {
        "low_score": 6,
        "merged_query": 2,
        "missing_columns": 1,
        "missing_pos": 1,
        "negative_is_positive": 2,
        "too_many_translations": 6,
    }
    assert Counter(r["reason"] for r in rows_of(folder / "out/rejects/curate")) == expected
    counts = json.loads((folder / "out/reports/curate.json").read_text())["counts"]
    found = Counter[str]()
    for key, count in counts.items():
        kind, *labels = key.split("|")
        if kind == "rejects":
            found[labels[0]] += count
    assert found == expected
    assert counts["labelled|hub|en|labelled"] == 10
    assert "54 pairs, 30 labelled rows" in result.out
    assert "asked en" in result.out


def test_files_and_workers_do_not_matter(
    finished: tuple[Path, Path, Result], tiny_encoder: str, tmp_path: Path
) -> None:
    """The same rows in three files each, read by two processes, give the same bytes."""
    _, result = curate(tmp_path, tiny_encoder, files=3, workers=2)
    assert result.code == 0, result.err
    for name in ("pairs", "labelled"):
        expected = parts_only(digests(finished[0] / "out" / name))
        assert expected
        assert parts_only(digests(tmp_path / "out" / name)) == expected


def test_a_rerun_does_nothing_and_a_changed_companion_reruns(
    tiny_encoder: str, tmp_path: Path
) -> None:
    """Every file that a source reads counts as its input, not only the one named by `path`."""
    config, first = curate(tmp_path, tiny_encoder)
    assert first.code == 0, first.err
    again = run("curate", "--config", config)
    assert again.out.startswith("curate: up to date (0 documents, 54 pairs")
    assert "30 labelled)" in again.out
    (tmp_path / "data/judged/corpus.jsonl").write_text('{"_id": "d1", "text": "It is old."}\n')
    assert "missing_document 12" in run("curate", "--config", config).out


def test_mining_takes_labelled_rows_along(finished: tuple[Path, Path, Result]) -> None:
    """All positives stay, labelled negatives stand in front, mined ones fill up; none is a gold."""
    folder, config, _ = finished
    result = run("mine-negatives", "--config", config)
    assert result.code == 0, result.err
    rows = rows_of(folder / "out/training")
    assert Counter((r["relation"], r["source"]) for r in rows) == {
        ("labelled", "asked"): 10,
        ("labelled", "judged"): 10,
        ("labelled", "hub"): 10,
        ("parallel", "mined"): 10,
    }
    labelled = {r["query"]: r for r in rows_of(folder / "out/labelled")}
    for row in rows:
        assert len(row["negatives"]) == 3 == len(set(row["negatives"]))
        sizes = {len(row[f"negative_{n}"]) for n in ("ids", "ranks", "scores")}
        assert sizes == {3}
        assert len(row["positive_scores"]) == len(row["positives"]) == len(row["positive_ids"])
        if row["relation"] == "labelled":
            given = labelled[row["query"]]
            assert row["positives"] == given["positives"]
            named = given["negatives"]
            assert row["negatives"][: len(named)] == named
            assert row["negative_ranks"][: len(named)] == [NOT_MINED] * len(named)
            assert min([0, *row["negative_ranks"][len(named) :]]) == 0
            assert not set(row["negatives"]) & set(given["positives"])


def test_mining_without_anything_labelled(tiny_encoder: str, tmp_path: Path) -> None:
    """A config that asks for labelled rows alone, but has no such source, is refused."""
    config = tmp_path / "run.toml"
    config.write_text(HEAD.format(out=tmp_path / "out", encoder=tiny_encoder, workers=1))
    result = run("mine-negatives", "--config", config, "--set", 'mining.relations=["labelled"]')
    assert result.code != 0
    assert "no source of the config is labelled" in result.err


def test_without_labelled_sources_there_is_no_such_folder(
    tiny_encoder: str, tmp_path: Path
) -> None:
    """The outputs are those of before."""
    only = SOURCES.partition('\n[[curation.sources]]\nkind = "labelled"')[0]
    _, result = curate(tmp_path, tiny_encoder, sources=only)
    assert result.code == 0, result.err
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"documents", "pairs", "rejects", "reports"} <= names
    assert "labelled" not in names


def test_passages_are_cut_when_they_are_merged(tiny_encoder: str) -> None:
    """At the bound of positives, which decides and does not make files be read again."""
    row = labelled_row()
    table = to_table([row], TRAINING_ROW).append_column(KEY, pa.array([1], pa.uint64()))
    config = CurationConfig(pairs=PairConfig(max_positive_characters=50))
    empty, extras = merge_labelled(table, config, TokenCounter(tiny_encoder))
    ((kind, merged, _),) = extras
    assert (empty.num_rows, kind) == (0, "labelled")
    assert (len(merged.positives[0]), len(merged.negatives[0])) == (50, 50)
    assert 10 < merged.length <= 52


def test_labelled_rows_of_evaluation_sets_are_rejected(tiny_encoder: str) -> None:
    """By their query or a positive; a negative that is held does not matter."""

    class Held:
        def find(self, texts: Sequence[str]) -> list[str | None]:
            return ["set/q1" if "secret" in text else None for text in texts]

    found = [
        replace(labelled_row(), id=f"{n}", query=f"q{n}", positives=[p], negatives=[m])
        for n, (p, m) in enumerate([("a secret", "x"), ("open", "a secret"), ("open", "x")])
    ]
    found[2].query = "the secret"
    table = to_table(found, TRAINING_ROW).append_column(KEY, pa.array([1, 2, 3], pa.uint64()))
    counter = TokenCounter(tiny_encoder)
    _, extras = merge_labelled(table, CurationConfig(), counter, Held())  # type: ignore[arg-type]
    assert [(kind, getattr(r, "value", "")) for kind, r, _ in extras] == [
        ("rejects", "set/q1"),
        ("labelled", ""),
        ("rejects", "set/q1"),
    ]
    assert {r.reason for kind, r, _ in extras if kind == "rejects"} == {"contaminated"}


def labelled_row() -> TrainingRow:
    return TrainingRow(
        id="1",
        query="q",
        positives=["word " * 100],
        negatives=["other " * 100],
        relation="labelled",
        source="set",
        query_language="en",
        language="en",
        length=0,
        positive_ids=["p"],
        negative_ids=["n"],
        negative_ranks=[NOT_MINED],
    )


def test_a_dry_run_names_every_source(tiny_encoder: str, tmp_path: Path) -> None:
    """And the output folders."""
    write_data(tmp_path / "data", 2)
    config = tmp_path / "run.toml"
    head = HEAD.format(out=tmp_path / "out", encoder=tiny_encoder, workers=1)
    config.write_text(head + SOURCES.format(data=tmp_path / "data"))
    result = run("curate", "--config", config, "--dry-run")
    assert result.code == 0, result.err
    assert "pairs, rejects/curate, labelled" in result.out
    assert not (tmp_path / "out").exists()
