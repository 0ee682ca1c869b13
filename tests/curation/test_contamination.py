"""Evaluation texts found in training texts: shared n-grams and whole queries."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import contamination
from curation.contamination import Contamination, DecontaminationConfig, build, read_beir
from curation.errors import ConfigError, InputError

WORDS = [f"w{i}" for i in range(500)]
PASSAGE = " ".join(WORDS[:40])
OTHER = " ".join(WORDS[100:140])
HAN = "".join(chr(0x4E00 + i) for i in range(60))
THAI = "".join(random.Random(0).choices("กขคงจฉชซญดตถทนบปผพฟมยรลวสหอ", k=90))


def write_set(folder: Path, *, compressed: bool = False, qrels: str = "qrels.tsv") -> str:
    """Write a set of four queries, two passages judged relevant, and two that are not."""
    corpus = {"d0": PASSAGE, "d1": OTHER, "d2": HAN, "d3": "zero " + " ".join(WORDS[200:240])}
    queries = {"q0": "Who was it?", "q1": "Where did they go then?", "q2": "誰?", "q3": "And?"}
    judged = ["q0\td0\t1", "q1\td0\t1", "q2\td2\t2", "q1\td3\t0", "q9\td9\t1", "broken"]
    files = {
        "corpus.jsonl": [json.dumps({"_id": k, "title": "", "text": v}) for k, v in corpus.items()],
        "queries.jsonl": [json.dumps({"_id": k, "text": v}) for k, v in queries.items()],
        qrels: ["query-id\tcorpus-id\tscore", *judged],
    }
    for name, lines in files.items():
        path = folder / (name + ".gz" * compressed)
        path.parent.mkdir(parents=True, exist_ok=True)
        data = "\n".join(lines).encode()
        path.write_bytes(gzip.compress(data) if compressed else data)
    return str(folder)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Contamination:
    folder = tmp_path_factory.mktemp("sets") / "test-set"
    thai = write_set(folder.with_name("thai-set"))
    (Path(thai) / "corpus.jsonl").write_text(json.dumps({"_id": "d0", "text": THAI}))
    return build(DecontaminationConfig(sets=(write_set(folder), thai + "/")))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (" ".join(WORDS[5:18]), "test-set/q0"),
        ("Before. " + " ".join(WORDS[5:18]).upper().replace(" ", ", ") + " after", "test-set/q0"),
        (" ".join(WORDS[5:17]), None),
        (" ".join([*WORDS[5:17], "x", *WORDS[18:29]]), None),
        (" ".join(reversed(WORDS[:40])), None),
        (OTHER, None),
        (" ".join(WORDS[200:240]), None),
        ("who WAS it", "test-set/q0"),
        ("who was it then", None),
        ("And", "test-set/q3"),
        ("誰", "test-set/q2"),
        ("前" + HAN[7:37] + "後" * 9, "test-set/q2"),
        (HAN[7:36], None),
        (THAI[5:65], "thai-set/q0"),
        (THAI[5:64], None),
        ("", None),
        (" ?! ", None),
    ],
    ids=lambda value: None,
)
def test_what_is_contaminated(held: Contamination, text: str, found: str | None) -> None:
    """13 words, 30 ideographs or 60 Thai letters in a row, or a whole query; judged texts only."""
    assert held.find([text]) == [found]
    assert held.find(["clean", text, "also clean"]) == [None, found, None]


@given(start=st.integers(0, 60), length=st.integers(1, 60), at=st.integers(0, 30))
@settings(deadline=None, max_examples=80)
def test_equal_to_the_oracle(held: Contamination, start: int, length: int, at: int) -> None:
    """A copied stretch is found exactly when 13 of its words lie in the passage."""
    words = [f"u{i}" for i in range(at)] + WORDS[start : start + length] + ["u99"]
    windows = {tuple(WORDS[i : i + 13]) for i in range(40 - 12)}
    wanted = any(tuple(words[i : i + 13]) in windows for i in range(len(words)))
    assert held.find([" ".join(words)]) == ["test-set/q0" if wanted else None]


def test_tables_survive_storage(held: Contamination, tmp_path: Path) -> None:
    """What was saved and loaded finds the same, in batches too."""
    config = DecontaminationConfig()
    held.save(str(tmp_path / "tables"))
    again = Contamination.load(config, str(tmp_path / "tables"))
    texts = [" ".join(WORDS[i : i + 15]) for i in range(60)] + ["and"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contamination, "_BATCH", 7)
        assert again.find(texts) == held.find(texts)
    assert again.find([]) == []
    assert np.load(tmp_path / "tables" / "ngrams.npy").dtype == contamination.ENTRY


@pytest.mark.parametrize(
    ("compressed", "qrels"), [(False, "qrels.tsv"), (True, "qrels.tsv"), (False, "qrels/test.tsv")]
)
def test_beir_folders(tmp_path: Path, compressed: bool, qrels: str) -> None:
    """Plain or gzipped; a passage comes with its first query, unjudged ones with none."""
    folder = write_set(tmp_path, compressed=compressed, qrels=qrels)
    rows = {query: passages for query, _, passages in read_beir(folder)}
    assert rows == {"q0": [PASSAGE], "q1": [], "q2": [HAN], "q3": []}
    assert len(contamination.files_of(folder)) == 3


@pytest.mark.parametrize("line", ["{", "[]", '{"_id": 3, "text": "x"}', '{"_id": "d0"}', "\xff"])
def test_a_damaged_set_is_an_error_with_its_line(tmp_path: Path, line: str) -> None:
    """An evaluation set that cannot be read must not pass for one without overlap."""
    folder = write_set(tmp_path)
    with (tmp_path / "corpus.jsonl").open("ab") as handle:
        handle.write(b"\n" + line.encode("latin-1"))
    with pytest.raises(InputError, match=r"corpus.jsonl, line 5"):
        build(DecontaminationConfig(sets=(folder,)))


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """A folder that is no BEIR folder is named."""
    with pytest.raises(InputError, match=r"holds no qrels.tsv or qrels/test.tsv"):
        build(DecontaminationConfig(sets=(str(tmp_path),)))
    with pytest.raises(ConfigError, match=r"curation.decontamination.ngram"):
        DecontaminationConfig(ngram=0)


def test_no_set_finds_nothing() -> None:
    """Without sets every text is clean."""
    assert build(DecontaminationConfig()).find([PASSAGE, ""]) == [None, None]


def test_real_sets_hold_each_other_only_where_they_share_text(real_data: Path) -> None:
    """XQuAD passages are found in their own language only; train passages of XQuAD's are none."""
    sets = tuple(str(real_data / f"retrieval/eval/xquad-{code}") for code in ("th", "zh", "en"))
    held = build(DecontaminationConfig(sets=sets))
    for name, wanted in (("eval/xquad-th", 240), ("train/iapp-train-th", 0)):
        with gzip.open(real_data / f"retrieval/{name}/corpus.jsonl.gz") as handle:
            found = held.find([json.loads(line)["text"] for line in handle])
        assert sum(owner is not None for owner in found) == wanted
        assert {owner.split("/")[0] for owner in found if owner} <= {"xquad-th"}
