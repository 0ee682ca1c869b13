"""Pair-shaped kinds through the reader of splits: every format, whole and damaged."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curation.config import CurationConfig, SourceConfig
from curation.errors import ConfigError
from curation.records import Reject
from curation.sources import lines
from curation.splitting import SplitReader, input_files, list_splits

ROWS = 400
ENGLISH = [f"The house number {i} is {i * 7919} years old." for i in range(ROWS)]
GERMAN = [f"Das Haus Nummer {i} ist {i * 7919} Jahre alt." for i in range(ROWS)]


def packed(folder: Path, name: str, text: str, cut: float = 1.0) -> Path:
    """Write a compressed file, of which only a share is left."""
    data = gzip.compress(text.encode())
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data[: int(len(data) * cut)])
    return path


def json_lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def write_columns(folder: Path, cut: float) -> dict[str, Any]:
    text = "".join(f"1.2\t{a}\t{b}\n" for a, b in zip(ENGLISH, GERMAN, strict=True))
    path = packed(folder, "a.tsv.gz", text, cut)
    languages = {"language": "en", "target_language": "de"}
    return {"kind": "parallel", "format": "ccmatrix", "path": str(path)} | languages


def write_moses(folder: Path, cut: float) -> dict[str, Any]:
    packed(folder, "a.en.gz", "\n".join(ENGLISH) + "\n", cut)
    packed(folder, "a.de.gz", "\n".join(GERMAN) + "\n")
    return {
        "kind": "parallel",
        "format": "moses",
        "path": f"{folder}/a.{{language}}.gz".replace("{language}", "en"),
        "target_path": f"{folder}/a.de.gz",
        "language": "en",
        "target_language": "de",
    }


def write_tmx(folder: Path, cut: float) -> dict[str, Any]:
    units = "".join(
        f'<tu><tuv xml:lang="en"><seg>{a}</seg></tuv><tuv xml:lang="de"><seg>{b}</seg></tuv></tu>\n'
        for a, b in zip(ENGLISH, GERMAN, strict=True)
    )
    path = packed(folder, "a.tmx.gz", f"<tmx><header/><body>{units}</body></tmx>", cut)
    return {"kind": "parallel", "format": "tmx", "path": str(path)}


def write_tatoeba(folder: Path, cut: float) -> dict[str, Any]:
    sentences = "".join(
        f"{2 * i}\teng\t{a}\n{2 * i + 1}\tdeu\t{b}\n"
        for i, (a, b) in enumerate(zip(ENGLISH, GERMAN, strict=True))
    )
    path = packed(folder, "sentences.csv.gz", sentences, cut)
    links = "".join(f"{2 * i}\t{2 * i + 1}\n{2 * i + 1}\t{2 * i}\n" for i in range(ROWS))
    packed(folder, "links.csv.gz", links)
    links_path = f"{folder}/links.csv.gz"
    return {"kind": "parallel", "format": "tatoeba", "path": str(path), "links_path": links_path}


def write_flagembedding(folder: Path, cut: float) -> dict[str, Any]:
    rows = [{"query": a, "pos": [b]} for a, b in zip(ENGLISH, GERMAN, strict=True)]
    path = packed(folder, "a.jsonl.gz", json_lines(rows), cut)
    return {"kind": "labelled", "format": "flagembedding", "path": str(path), "language": "en"}


def write_passages(folder: Path, cut: float) -> dict[str, Any]:
    rows = [
        {
            "query_id": str(i),
            "query": a,
            "positive_passages": [{"docid": "d", "title": "", "text": b}],
            "negative_passages": [],
        }
        for i, (a, b) in enumerate(zip(ENGLISH, GERMAN, strict=True))
    ]
    path = packed(folder, "a.jsonl.gz", json_lines(rows), cut)
    return {"kind": "labelled", "format": "passages", "path": str(path), "language": "de"}


def write_nli(folder: Path, cut: float) -> dict[str, Any]:
    rows = "".join(f'"{a}","{b}",no\n' for a, b in zip(ENGLISH, GERMAN, strict=True))
    path = packed(folder, "a.csv.gz", "sent0,sent1,hard_neg\n" + rows, cut)
    return {"kind": "labelled", "format": "nli", "path": str(path), "language": "de"}


def write_beir(folder: Path, cut: float) -> dict[str, Any]:
    corpus = [{"_id": f"d{i}", "title": "", "text": t} for i, t in enumerate(GERMAN)]
    queries = [{"_id": f"q{i}", "text": t} for i, t in enumerate(ENGLISH)]
    packed(folder, "set/corpus.jsonl.gz", json_lines(corpus), cut)
    packed(folder, "set/queries.jsonl.gz", json_lines(queries))
    golds = "".join(f"q{i}\td{i}\t1\n" for i in range(ROWS))
    (folder / "set/qrels.tsv").write_text(golds)
    return {"kind": "labelled", "format": "beir", "path": f"{folder}/set", "language": "de"}


def write_qrels(folder: Path, cut: float) -> dict[str, Any]:
    packed(folder, "c.tsv.gz", "".join(f"d{i}\t{t}\n" for i, t in enumerate(GERMAN)), cut)
    packed(folder, "q.tsv.gz", "".join(f"q{i}\t{t}\n" for i, t in enumerate(ENGLISH)))
    (folder / "qrels").write_text("".join(f"q{i} 0 d{i} 1\n" for i in range(ROWS)))
    paths = {"queries_path": f"{folder}/q.tsv.gz", "corpus_path": f"{folder}/c.tsv.gz"}
    return {"kind": "labelled", "format": "qrels", "path": f"{folder}/qrels", **paths}


WRITERS: dict[str, Callable[[Path, float], dict[str, Any]]] = {
    "ccmatrix": write_columns,
    "moses": write_moses,
    "tmx": write_tmx,
    "tatoeba": write_tatoeba,
    "flagembedding": write_flagembedding,
    "passages": write_passages,
    "nli": write_nli,
    "beir": write_beir,
    "qrels": write_qrels,
}


def read(values: dict[str, Any]) -> tuple[list[Any], Counter[str]]:
    """Return the good records of all splits and the rejects by reason."""
    config = CurationConfig(sources=(SourceConfig(**values),))
    found = [r for s in list_splits(config) for r in SplitReader(s, config.sources[0])]
    good = [record for record in found if not isinstance(record, Reject)]
    return good, Counter(r.reason for r in found if isinstance(r, Reject))


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_is_read_whole(name: str, tmp_path: Path) -> None:
    """All records and no reject; progress ends at one."""
    values = WRITERS[name](tmp_path, 1.0)
    good, rejects = read(values)
    assert (len(good), +rejects) == (ROWS, Counter())
    config = CurationConfig(sources=(SourceConfig(**values),))
    (split,) = list_splits(config)
    reader = SplitReader(split, config.sources[0])
    assert reader.share == 0.0
    assert all(0 < reader.share <= 1 for _ in reader)
    assert reader.share == 1.0


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_survives_a_cut(name: str, tmp_path: Path) -> None:
    """What lies before the cut comes out, and the file is named once as truncated."""
    good, rejects = read(WRITERS[name](tmp_path, 0.6))
    assert ROWS // 4 < len(good) < ROWS
    assert rejects.pop("truncated_file") == 1
    missing = rejects.pop("missing_document", 0)
    assert missing in (0, ROWS - len(good))
    assert rejects.total() <= 1  # the line or unit at the cut


@pytest.mark.parametrize("name", [n for n in WRITERS if n not in ("beir", "qrels", "tatoeba")])
def test_an_empty_file_is_counted(name: str, tmp_path: Path) -> None:
    """Nothing vanishes in silence."""
    values = WRITERS[name](tmp_path, 1.0)
    for key in ("path", "target_path"):
        if key in values:
            Path(values[key]).write_bytes(gzip.compress(b""))
    assert read(values) == ([], Counter({"no_records": 1}))


def test_every_file_counts_as_input(tmp_path: Path) -> None:
    """Companions too, so that a change of any makes a rerun."""
    for name, write in WRITERS.items():
        folder = tmp_path / name
        folder.mkdir()
        config = CurationConfig(sources=(SourceConfig(**write(folder, 1.0)),))
        expected = sorted(str(p) for p in folder.rglob("*") if p.is_file())
        assert sorted(input_files(config)) == expected


def test_hf_files_are_splits_and_inputs(tmp_path: Path) -> None:
    """One split a file; a folder counts with all that is in it."""
    for number in range(2):
        rows = [{"q": f"q{number}{i}", "a": "x"} for i in range(3)]
        (tmp_path / f"{number}.jsonl").write_text(json_lines(rows))
    values = {
        "kind": "hf",
        "path": f"{tmp_path}/*.jsonl",
        "columns": {"query": "q", "positive": "a"},
        "relation": "question-passage",
    }
    good, rejects = read(values)
    assert ([r.query for r in good], rejects) == (
        ["q00", "q01", "q02", "q10", "q11", "q12"],
        Counter(),
    )
    whole = values | {"path": str(tmp_path)}
    assert sorted(r.query for r in read(whole)[0]) == sorted(r.query for r in good)
    expected = [str(tmp_path / f"{n}.jsonl") for n in range(2)]
    for source in (values, whole):
        assert input_files(CurationConfig(sources=(SourceConfig(**source),))) == expected


def test_hf_files_take_no_split(tmp_path: Path) -> None:
    """It would say nothing."""
    (tmp_path / "a.jsonl").write_text('{"q": "x", "a": "y"}\n')
    source = SourceConfig(
        kind="hf",
        path=f"{tmp_path}/a.jsonl",
        columns={"query": "q", "positive": "a"},
        relation="parallel",
        split="test",
    )
    with pytest.raises(ConfigError, match="subset, split and revision belong to"):
        list_splits(CurationConfig(sources=(source,)))


def test_a_damaged_hf_file_costs_itself(tmp_path: Path) -> None:
    """The columns are looked up in a file that can be opened."""
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not much of one")
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"q": ["who"], "a": ["Ann"]}), tmp_path / "b.parquet")
    values = {
        "kind": "hf",
        "path": f"{tmp_path}/*.parquet",
        "columns": {"query": "q", "positive": "a"},
        "relation": "question-passage",
    }
    good, rejects = read(values)
    assert ([r.query for r in good], rejects) == (["who"], Counter({"unreadable_rows": 1}))


@pytest.mark.parametrize("name", ["ccmatrix", "moses", "tmx", "flagembedding", "nli", "tatoeba"])
def test_a_bomb_costs_time_and_no_memory(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 MB of zeros in a file of 64 kB: one endless line, whatever the format."""
    monkeypatch.setattr(lines.read_lines, "__defaults__", (1 << 20,))
    values = WRITERS[name](tmp_path, 1.0)
    bomb = gzip.compress(b"\0" * (64 << 20), 9)
    for key in ("path", "target_path"):
        if key in values:
            Path(values[key]).write_bytes(bomb)
    tracemalloc.start()
    good, rejects = read(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert good == []
    assert rejects.total() >= 1
    assert peak < 32 << 20
