"""Rows of `datasets` data sets, streamed from local files and folders."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.errors import ConfigError, InputError
from curation.records import Reject
from curation.sources import hub
from curation.sources.hub import Dataset, builder_of, check_columns, has_known_suffix, read_rows
from curation.sources.raw import (
    Passage,
    RawDocument,
    RawLabelled,
    RawPair,
    RawSection,
    RawTranslation,
)

# `datasets` leaves the file open of which it read the first rows only.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

ROWS = [
    {"q": "who", "a": "Ann", "lang": "de", "translation": {"en": "Hello", "de": "Hallo"}, "n": 1},
    {"q": "what", "a": "A book", "lang": None, "translation": {"en": "Yes", "de": "Ja"}, "n": 2},
]


def dataset(path: Path | str, **changes: Any) -> Dataset:
    values: dict[str, Any] = {
        "path": str(path),
        "is_file": not Path(path).is_dir(),
        "subset": "",
        "split": "train",
        "revision": "",
        "columns": {"query": "q", "positive": "a"},
        "relation": "question-passage",
        "source": "hub",
        "query_language": None,
        "language": "en",
    }
    return Dataset(**(values | changes))


def write_parquet(path: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def write_json(path: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_zipped(path: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return path


def write_csv(path: Path) -> Path:
    path.write_text("q,a,lang\nwho,Ann,de\nwhat,A book,\n")
    return path


FILES = {
    "rows.parquet": write_parquet,
    "rows.jsonl": write_json,
    "rows.json": write_json,
    "rows.jsonl.gz": write_zipped,
    "rows.csv": write_csv,
}


@pytest.mark.parametrize("name", FILES)
def test_files_of_each_format_give_pairs(name: str, tmp_path: Path) -> None:
    """The mapped columns, with the languages of the config."""
    first, second = read_rows(dataset(FILES[name](tmp_path / name)))
    assert isinstance(first, RawPair)
    assert (first.query, first.positive, first.relation) == ("who", "Ann", "question-passage")
    assert (first.query_language, first.language) == (None, "en")
    assert isinstance(second, RawPair)
    assert second.id not in ("", first.id)


def test_a_folder_is_read_by_split_and_shard(tmp_path: Path) -> None:
    """Shards add up to the split, and the other split stays out."""
    for number in range(3):
        rows = [{"q": f"q{number}-{i}", "a": "x"} for i in range(4)]
        write_parquet(tmp_path / f"train-{number:05d}-of-00003.parquet", rows)
    write_parquet(tmp_path / "test-00000-of-00001.parquet", [{"q": "secret", "a": "x"}])
    wanted = dataset(tmp_path)
    assert check_columns(wanted) == 3
    shards = [[r.query for r in read_rows(wanted, i, 3)] for i in range(3)]  # type: ignore[union-attr]
    assert shards == [[f"q{number}-{i}" for i in range(4)] for number in range(3)]
    assert [r.query for r in read_rows(dataset(tmp_path, split="test"))] == ["secret"]  # type: ignore[union-attr]


def test_rows_become_documents(tmp_path: Path) -> None:
    """Title and text, and what else is mapped; a row's language stands above the config's."""
    path = write_parquet(tmp_path / "rows.parquet")
    columns = {"title": "q", "text": "a", "language": "lang", "id": "n"}
    found = list(read_rows(dataset(path, columns=columns, relation="")))
    assert found == [
        RawDocument("hub:1", "who", [RawSection("", 0, "Ann")], language="de"),
        RawDocument("hub:2", "what", [RawSection("", 0, "A book")], language="en"),
    ]


def test_rows_become_translations(tmp_path: Path) -> None:
    """A dot leads into a column; a score goes along."""
    path = write_parquet(tmp_path / "rows.parquet")
    columns = {"query": "translation.en", "positive": "translation.de", "score": "n", "id": "n"}
    wanted = dataset(path, columns=columns, relation="parallel", query_language="en", language="de")
    assert list(read_rows(wanted)) == [
        RawTranslation("Hello", "Hallo", "en", "de", "hub:1", 1),
        RawTranslation("Yes", "Ja", "en", "de", "hub:2", 2),
    ]


def test_rows_become_labelled_queries(tmp_path: Path) -> None:
    """Lists of passages, or one text for a list of one."""
    rows = [{"q": "who", "pos": ["Ann", "She"], "neg": "Bob", "id": "7"}]
    columns = {"query": "q", "positive": "pos", "negative": "neg", "id": "id"}
    wanted = dataset(
        write_json(tmp_path / "rows.jsonl", rows), columns=columns, relation="labelled"
    )
    (found,) = read_rows(wanted)
    assert isinstance(found, RawLabelled)
    assert (found.id, found.query) == ("hub:7", "who")
    assert found.positives == [Passage("Ann"), Passage("She")]
    assert found.negatives == [Passage("Bob")]


def test_only_mapped_columns_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images and audio of other columns are never decoded."""
    seen: list[list[str]] = []
    original = hub._record

    def watched(row: Any, *rest: Any) -> Any:
        seen.append(sorted(row))
        return original(row, *rest)

    monkeypatch.setattr(hub, "_record", watched)
    list(read_rows(dataset(write_parquet(tmp_path / "rows.parquet"))))
    assert seen == [["a", "q"], ["a", "q"]]


@pytest.mark.parametrize("name", ["rows.parquet", "rows.jsonl", "rows.csv"])
def test_an_unknown_column_names_the_ones_there_are(name: str, tmp_path: Path) -> None:
    """Before anything is read."""
    wanted = dataset(FILES[name](tmp_path / name), columns={"query": "qq", "positive": "a"})
    with pytest.raises(ConfigError, match="for query 'qq': did you mean 'q'\\? valid: a, lang, "):
        check_columns(wanted)


@pytest.mark.parametrize("value", [None, 3, ["x"]])
def test_a_row_without_text_is_rejected_alone(value: Any, tmp_path: Path) -> None:
    """Whatever the column holds instead, the rows of the file are read."""
    rows = [{"q": "a", "a": value}] * 2
    found = list(read_rows(dataset(write_json(tmp_path / "rows.jsonl", rows))))
    assert [getattr(record, "reason", "") for record in found] == ["missing_positive"] * 2


@pytest.mark.parametrize("name", ["rows.parquet", "rows.jsonl.gz"])
def test_a_file_that_breaks_off_is_counted(name: str, tmp_path: Path) -> None:
    """A reject stands at the end of what could be read."""
    rows = [{"q": f"q {i * 7919}", "a": "x"} for i in range(5000)]
    path = tmp_path / name
    (write_parquet if name.endswith("parquet") else write_zipped)(path, rows)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    *_, last = read_rows(dataset(path))
    assert isinstance(last, Reject)
    assert last.reason == "unreadable_rows"


@pytest.mark.parametrize("split", ["validation", "train[:10%"])
def test_an_unknown_split_is_an_error(split: str, tmp_path: Path) -> None:
    """It names the data set and the split."""
    write_parquet(tmp_path / "train.parquet")
    with pytest.raises(InputError, match=r"cannot open the data set .*split"):
        check_columns(dataset(tmp_path, split=split))


def test_suffixes() -> None:
    """Compression does not hide the format; other files are refused."""
    assert builder_of("a/b.JSONL.gz") == builder_of("x.json") == "json"
    assert has_known_suffix("data/*.parquet")
    assert not has_known_suffix("owner/name")
    with pytest.raises(ConfigError, match=r"unknown suffix of 'a\.txt' 'txt'"):
        builder_of("a.txt")
