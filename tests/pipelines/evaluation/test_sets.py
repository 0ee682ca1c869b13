"""Evaluation sets in BEIR's layout, alone, by glob and across languages."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curation import storage
from curation.errors import InputError
from curation.splits import SplitConfig
from pipelines.evaluation.config import EvaluationSet
from pipelines.evaluation.sets import RetrievalSet, expand, load_set
from tests.builders import articles
from tests.pipelines.evaluation.folders import write_beir

Packer = Callable[[str], bytes]


def beir(folder: Path, **options: Any) -> EvaluationSet:
    return EvaluationSet(kind="beir", path=str(folder), **options)


def load(wanted: EvaluationSet) -> RetrievalSet:
    [one] = expand(wanted)
    return load_set(one, "", SplitConfig())


@pytest.mark.parametrize("qrels", ["qrels.tsv", "qrels/test.tsv"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_a_beir_folder_is_read(tmp_path: Path, qrels: str, packed: bool) -> None:
    """Judged queries only, titles before texts, graded judgements kept."""
    write_beir(tmp_path, qrels=qrels, packed=packed)
    found = load(beir(tmp_path))
    assert sorted(found.query_ids) == ["q0", "q2"]
    assert found.judgements == {"q0": {"d1": 1}, "q2": {"d2": 2, "d3": 0}}
    assert found.document_ids == ["d0", "d1", "d2", "d3", "d4"]
    assert found.documents[0] == articles("en", 1)[0]["text"]
    assert found.documents[1].startswith("Arhaven\nThe lighthouse of Arhaven")
    assert found.name == tmp_path.name


def test_the_first_queries_are_the_same_ones_each_time(tmp_path: Path) -> None:
    """max_queries takes a prefix of the full order."""
    write_beir(tmp_path)
    whole = load(beir(tmp_path))
    first = load(beir(tmp_path, max_queries=1))
    assert first.query_ids == whole.query_ids[:1]
    assert list(first.judgements) == first.query_ids


def test_a_cut_corpus_keeps_the_judged_documents(tmp_path: Path) -> None:
    """Sets of one corpus that keep other documents of it do not share their vectors."""
    write_beir(tmp_path)
    whole, cut = load(beir(tmp_path)), load(beir(tmp_path, max_documents=4))
    assert {"d1", "d2", "d3"} < set(cut.document_ids)
    assert len(cut.documents) == 4
    assert cut.judgements == whole.judgements
    assert cut.corpus != whole.corpus
    assert load(beir(tmp_path, max_documents=5)).corpus == whole.corpus
    few = [load(beir(tmp_path, max_documents=1)).document_ids]
    assert few == [["d1", "d2", "d3"]]


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("corpus.jsonl", "holds no corpus.jsonl (plain or compressed): check the set's `kind`, "),
        ("qrels/test.tsv", "holds no qrels.tsv or qrels/test.tsv (plain or compressed): check "),
    ],
    ids=["corpus", "qrels"],
)
def test_a_folder_that_lacks_a_file_is_named(tmp_path: Path, missing: str, message: str) -> None:
    """The message says which file, and where."""
    write_beir(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(InputError) as caught:
        load(beir(tmp_path))
    assert str(caught.value).startswith(f"{tmp_path} {message}")


def test_a_set_without_judged_queries_is_an_error(tmp_path: Path) -> None:
    """No metric is computed over nothing."""
    write_beir(tmp_path)
    (tmp_path / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\n")
    with pytest.raises(InputError, match=f"'{tmp_path.name}' has no judged query"):
        load(beir(tmp_path))


def test_questions_need_their_stages(tmp_path: Path) -> None:
    """Without questions the message names the command."""
    with pytest.raises(InputError, match="is missing or incomplete; run: make synth"):
        load_set(EvaluationSet(kind="questions"), str(tmp_path), SplitConfig())
    assert storage.list_files(str(tmp_path)) == []


def test_a_glob_is_as_many_sets_as_it_matches(tmp_path: Path) -> None:
    """Each is called by its folder, which tells its languages and its benchmark."""
    for name in ("xquad-de", "xquad-zh_Hant", "afriqa-hau_en", "scifact"):
        write_beir(tmp_path / name)
    found = [load_set(one, "", SplitConfig()) for one in expand(beir(tmp_path / "*"))]
    told = [(s.name, s.benchmark, s.language, s.document_language) for s in found]
    assert told == [
        ("afriqa-hau_en", "afriqa", "ha", "en"),
        ("scifact", "scifact", "", ""),
        ("xquad-de", "xquad", "de", "de"),
        ("xquad-zh_Hant", "xquad", "zh-Hant", "zh-Hant"),
    ]
    with pytest.raises(InputError, match="nothing matches path = "):
        expand(beir(tmp_path / "nq-*"))


def test_questions_search_the_same_documents_in_another_language(tmp_path: Path) -> None:
    """Judgements follow what both ids have in common; a document without a partner is named."""
    write_beir(tmp_path / "set-de", prefix="de-")
    write_beir(tmp_path / "set-en", prefix="en-")
    cross = beir(
        tmp_path / "set-de", corpus=str(tmp_path / "set-en"), pair_by=r"d\d+$", name="x-de"
    )
    found = load(cross)
    assert found.document_ids == [f"en-d{i}" for i in range(5)]
    assert found.judgements == {"q0": {"en-d1": 1}, "q2": {"en-d2": 2, "en-d3": 0}}
    assert (found.language, found.document_language) == ("de", "en")
    with pytest.raises(InputError, match=r"'de-d1' has no document in .* pair_by = 'de-d"):
        load(beir(tmp_path / "set-de", corpus=str(tmp_path / "set-en"), pair_by=r"de-d\d+$"))


def test_sets_of_equal_documents_share_them(tmp_path: Path) -> None:
    """What is encoded once is told by the texts, wherever they lie and however they are called."""
    for name in ("a", "b", "c"):
        write_beir(tmp_path / name, prefix="x" if name == "b" else "")
    corpus = tmp_path / "c" / "corpus.jsonl"
    corpus.write_text(corpus.read_text() + '{"_id": "d5", "text": "one more"}\n')
    a, b, c = (load(beir(tmp_path / name)) for name in ("a", "b", "c"))
    assert a.document_ids != b.document_ids
    assert a.corpus == b.corpus != c.corpus


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("corpus.jsonl", "{", "corpus.jsonl, line 6: no JSON"),
        ("corpus.jsonl", '{"_id": "x"}', "corpus.jsonl, line 6: no object with _id, text"),
        ("corpus.jsonl", '{"_id": "d1", "text": "other"}', "two documents have the id 'd1'"),
        ("qrels/test.tsv", "q0\td1\thigh", "line 5: 'q0\\\\td1\\\\thigh' is no query, document"),
    ],
    ids=["json", "key", "twice", "grade"],
)
def test_a_wrong_line_is_named(tmp_path: Path, file: str, line: str, message: str) -> None:
    write_beir(tmp_path)
    with (tmp_path / file).open("a") as handle:
        handle.write(line + "\n")
    with pytest.raises(InputError, match=message):
        load(beir(tmp_path))


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    """Metrics over half a corpus would look like metrics."""
    write_beir(tmp_path, packed=True)
    path = tmp_path / "corpus.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"corpus\.jsonl\.gz is truncated: fetch it again"):
        load(beir(tmp_path))


def test_a_document_with_a_querys_id_stays(tmp_path: Path) -> None:
    """Leaving such documents out changed the paper's first MIRACL figures."""
    write_beir(tmp_path)
    with (tmp_path / "corpus.jsonl").open("a") as handle:
        handle.write(json.dumps({"_id": "q0", "text": "Of the same name."}) + "\n")
    assert "q0" in load(beir(tmp_path)).document_ids
