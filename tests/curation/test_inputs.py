"""Files that belong together, and the languages that their names state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curation.config import SourceConfig
from curation.errors import ConfigError, InputError
from curation.inputs import Input, inputs_of, matching_files


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


def units(folder: Path, **values: Any) -> list[Input]:
    paths = ("path", "target_path", "links_path", "queries_path", "corpus_path")
    placed = {k: f"{folder}/{v}" if k in paths else v for k, v in values.items()}
    return inputs_of(SourceConfig(**placed))


def relative(folder: Path, found: list[Input]) -> list[tuple[str, ...]]:
    return [tuple(str(Path(p).relative_to(folder)) for p in unit.files) for unit in found]


MOSES = {"kind": "parallel", "format": "moses"}


def test_codes_in_names_pair_files(tmp_path: Path) -> None:
    """A place that occurs again must say the same; other files do not match."""
    touch(
        tmp_path, "t.deu-eng.deu", "t.deu-eng.eng", "t.zho_Hant-eng.zho_Hant", "t.zho_Hant-eng.eng"
    )
    touch(tmp_path, "t.readme-eng.readme", "t.deu-eng.fra")
    found = units(
        tmp_path,
        **MOSES,
        path="t.{language}-{target_language}.{language}",
        target_path="t.{language}-{target_language}.{target_language}",
    )
    assert relative(tmp_path, found) == [
        ("t.deu-eng.deu", "t.deu-eng.eng"),
        ("t.zho_Hant-eng.zho_Hant", "t.zho_Hant-eng.eng"),
    ]
    assert [(u.language, u.target_language) for u in found] == [("de", "en"), ("zh-Hant", "en")]


def test_one_side_may_be_one_file_for_all(tmp_path: Path) -> None:
    """Its language is that of the config."""
    touch(tmp_path, "ref.deu.txt", "ref.srp-Latn.txt", "src.txt", "ref-2.spa.txt")
    found = units(
        tmp_path, **MOSES, path="ref.{language}.txt", target_path="src.txt", target_language="eng"
    )
    assert relative(tmp_path, found) == [
        ("ref.deu.txt", "src.txt"),
        ("ref.srp-Latn.txt", "src.txt"),
    ]
    assert [(u.language, u.target_language) for u in found] == [("de", "en"), ("sr-Latn", "en")]


@pytest.mark.parametrize(
    "pattern",
    ["*/{language}.tsv", "**/{language}.ts?", "d[eu]/{language}.tsv", "de/{language}.[!x]sv"],
)
def test_places_go_with_globs(tmp_path: Path, pattern: str) -> None:
    """All that a glob may hold."""
    touch(tmp_path, "de/deu.tsv", "de/words.tsv", "de/x.y/deu.txt")
    assert list(matching_files(f"{tmp_path}/{pattern}")) == [
        (f"{tmp_path}/de/deu.tsv", {"language": "deu"})
    ]


def test_a_place_in_a_folder(tmp_path: Path) -> None:
    """Codes may stand in any part of the path."""
    touch(tmp_path, "deu/corpus.tsv", "other-things/corpus.tsv")
    found = units(
        tmp_path, kind="parallel", format="tsv", path="{language}/*.tsv", target_language="en"
    )
    assert [(u.language, u.target_language) for u in found] == [("de", "en")]


WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no match": ({"path": "x.{language}"}, InputError, "no file matches"),
    "no code": (
        {"path": "{language}.txt", "target_path": "b.txt"},
        InputError,
        "with a language code in its place",
    ),
    "set twice": (
        {"path": "{language}.tsv", "language": "de"},
        ConfigError,
        "curation.sources.language is set, and {language} in `path` too",
    ),
    "no languages": ({"path": "a.txt", "target_path": "b.txt"}, ConfigError, "does not say its"),
    "one language": (
        {"path": "a.txt", "target_path": "b.txt", "language": "de"},
        ConfigError,
        "does not say its languages",
    ),
    "place in target only": (
        {"path": "a.txt", "target_path": "b.{language}.txt"},
        ConfigError,
        "has {language}, which `path` has not",
    ),
    "target missing": ({"path": "a.txt", "target_path": "c.txt"}, InputError, "no file matches"),
    "two targets": ({"path": "a.txt", "target_path": "*.txt"}, ConfigError, "must name one file"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_refused(tmp_path: Path, name: str) -> None:
    """The message names the key or the pattern."""
    touch(tmp_path, "a.txt", "b.txt")
    values, error, message = WRONG[name]
    with pytest.raises(error) as caught:
        units(tmp_path, **({"target_path": "b.txt"} | MOSES | values))
    assert message in str(caught.value)


def test_beir_folders(tmp_path: Path) -> None:
    """Plain or compressed, judgements beside the corpus or in a folder; never those of a test."""
    touch(tmp_path, "a/qrels.tsv", "a/queries.jsonl.gz", "a/corpus.jsonl.gz")
    touch(tmp_path, "b/qrels/train.tsv", "b/qrels/test.tsv", "b/queries.jsonl", "b/corpus.jsonl")
    touch(tmp_path, "c/qrels/test.tsv", "c/queries.jsonl", "c/corpus.jsonl")
    found = units(tmp_path, kind="labelled", format="beir", path="*", language="deu")
    assert relative(tmp_path, found) == [
        ("a/qrels.tsv", "a/queries.jsonl.gz", "a/corpus.jsonl.gz"),
        ("b/qrels/train.tsv", "b/queries.jsonl", "b/corpus.jsonl"),
    ]
    assert [unit.language for unit in found] == ["de", "de"]


def test_beir_folders_named_by_language(tmp_path: Path) -> None:
    """And with their corpus elsewhere."""
    touch(tmp_path, "set-deu/qrels.tsv", "set-deu/queries.jsonl", "corpora/deu.jsonl")
    (found,) = units(
        tmp_path,
        kind="labelled",
        format="beir",
        path="set-{language}",
        corpus_path="corpora/{language}.jsonl",
    )
    assert found.language == "de"
    assert found.files[-1] == f"{tmp_path}/corpora/deu.jsonl"


def test_no_beir_folder_is_an_error(tmp_path: Path) -> None:
    """It says what a folder must hold, or that the corpus is missing."""
    with pytest.raises(InputError, match=r"qrels\.tsv or qrels/train\.tsv"):
        units(tmp_path, kind="labelled", format="beir", path="*")
    touch(tmp_path, "a/qrels.tsv", "a/queries.jsonl")
    with pytest.raises(InputError, match=r"has no corpus\.jsonl\.gz; .* `corpus_path`"):
        units(tmp_path, kind="labelled", format="beir", path="*")


def test_judged_collections(tmp_path: Path) -> None:
    """A corpus may lie in several files."""
    touch(tmp_path, "qrels", "topics.tsv", "docs-0.jsonl", "docs-1.jsonl")
    (found,) = units(
        tmp_path,
        kind="labelled",
        format="qrels",
        path="qrels",
        queries_path="topics.tsv",
        corpus_path="docs-*.jsonl",
    )
    assert relative(tmp_path, [found]) == [("qrels", "topics.tsv", "docs-0.jsonl", "docs-1.jsonl")]
    assert [len(listed) for listed in found.companions] == [1, 2]
