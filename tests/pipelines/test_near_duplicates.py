"""Near duplicates through Beam: planted clusters, whatever the split, the shards and the order."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest

from curation import runs
from curation.clusters import BAND, shard_of
from curation.config import CurationConfig, SourceConfig
from curation.minhash import NearDuplicateConfig
from curation.quality import fill_scores
from curation.records import DOCUMENT, Document, text_key, to_table
from curation.runs import KEY, Run
from pipelines import runner
from pipelines.decide import version_keys
from pipelines.decisions import load_decisions
from pipelines.merges import save_array
from pipelines.near_duplicates import FindNearDuplicates, bands_by_shard, bands_of, decide
from pipelines.spill import document_keys
from pipelines.work import Workspace, total_counts

WORDS = [f"word{i}" for i in range(2000)]
CONFIG = CurationConfig(
    sources=(
        SourceConfig(kind="c4", path="x", name="web"),
        SourceConfig(kind="wikipedia", path="x", priority=2),
    )
)
Decisions = dict[int, tuple[str, int, bool]]


def document(identity: str, words: list[str], source: str = "web", date: str = "") -> Document:
    text = " ".join(words)
    made = Document(identity, source, identity, text, date=date, text_hash=text_key(text))
    made.language_score, made.script = 1.0, "Latin"
    fill_scores([made])
    return made


def base(seed: int, length: int = 80) -> list[str]:
    return random.Random(seed).choices(WORDS, k=length)


def edited(words: list[str], place: int) -> list[str]:
    """Replace one word: 5 of about 76 n-grams change, the similarity is 0.88."""
    return [*words[:place], "edited", *words[place + 1 :]]


def find(
    folder: Path,
    documents: list[Document],
    splits: int = 1,
    shards: int = 4,
    config: CurationConfig = CONFIG,
    drops: list[Document] | None = None,
) -> Decisions:
    """Spill documents as so many splits, decide in so many shards, return the decisions by key."""
    workspace = Workspace(str(folder / "work"))
    (folder / "bounds.toml").parent.mkdir(parents=True, exist_ok=True)
    (folder / "bounds.toml").write_text('version = "t"\n[default]\nmax_digit_share = 0.6\n')
    config = dataclasses.replace(config, thresholds=str(folder / "bounds.toml"))
    older = to_table(drops or [], DOCUMENT).append_column(KEY, pa.array(document_keys(drops or [])))
    save_array(workspace.path("drops", "shard-00.npy"), version_keys(older))
    spilled: list[Run] = []
    for number in range(splits):
        some = documents[number::splits]
        path = workspace.path("runs", "documents", f"{number}{runs.SUFFIX}")
        spilled.append(runs.write_run(path, to_table(some, DOCUMENT), document_keys(some)))
    with runner.create_pipeline([], 1, 1) as pipeline:
        found = pipeline | "Runs" >> beam.Create(spilled, reshuffle=False)
        barrier = pipeline | "Drops" >> beam.Create(["done"], reshuffle=False)
        _ = found | FindNearDuplicates(config, workspace, shards, barrier)
    table = load_decisions(workspace, np.array([0, 2**64 - 1], np.uint64))
    columns = (table[name].to_pylist() for name in (KEY, "kept", "size", "is_kept"))
    return {key: (kept, size, own) for key, kept, size, own in zip(*columns, strict=True)}


def by_id(documents: list[Document], decisions: Decisions) -> dict[str, tuple[str, int, bool]]:
    keys = {int(document_keys([d])[0]): d.id for d in documents}
    return {keys[key]: decision for key, decision in decisions.items()}


def planted() -> list[Document]:
    """Ten texts, three of them with near duplicates in chains and copies, two with exact copies."""
    rows = [document(f"w:{i}", base(i)) for i in range(10)]
    rows += [document("w:0a", edited(base(0), 40)), document("w:0b", edited(base(0), 10))]
    rows += [document("w:0c", edited(edited(base(0), 10), 60)), document("w:0d", base(0))]
    rows += [document("wiki:1", edited(base(1), 79)[:-1], "wikipedia")]
    rows += [document("w:2a", [*base(2), "longer"]), document("w:3a", base(3))]
    return rows


EXPECTED = {
    "w:0": ("w:0a", 5, False),
    "w:0a": ("w:0a", 5, True),
    "w:0b": ("w:0a", 5, False),
    "w:0c": ("w:0a", 5, False),
    "w:1": ("wiki:1", 2, False),
    "wiki:1": ("wiki:1", 2, True),
    "w:2": ("w:2a", 2, False),
    "w:2a": ("w:2a", 2, True),
}


@pytest.mark.parametrize(("splits", "shards"), [(1, 1), (1, 4), (7, 5)], ids=str)
def test_planted_clusters_are_found(tmp_path: Path, splits: int, shards: int) -> None:
    """Of each cluster the best source, the longest text, the smallest id is kept; copies count."""
    rows = planted()
    random.Random(splits).shuffle(rows)
    longest = max(len(d.text) for d in rows if d.id.startswith("w:0"))
    assert {d.id for d in rows if d.id.startswith("w:0") and len(d.text) == longest} >= {"w:0a"}
    keys = {int(document_keys([d])[0]): d.id for d in rows if d.id not in ("w:0d", "w:3a")}
    found = find(tmp_path, rows, splits, shards)
    assert {keys[key]: decision for key, decision in found.items()} == EXPECTED


def test_an_older_version_never_stands_for_others(tmp_path: Path) -> None:
    """What is dropped as an older version neither wins a cluster nor counts in it."""
    old = document("w:1", [*base(1), "more", "words"], date="2020-01-01")
    new, other = document("w:1", base(1), date="2024-01-01"), document("w:9", edited(base(1), 5))
    lone = document("w:5", base(5), date="2024-01-01")
    before = document("w:5", edited(base(5), 5), date="2020-01-01")
    rows = [old, new, other, lone, before]
    found = find(tmp_path, rows, drops=[old, before])
    winner = max((new, other), key=lambda d: len(d.text)).id
    assert by_id([new, other], found) == {
        "w:1": (winner, 2, winner == "w:1"),
        "w:9": (winner, 2, winner == "w:9"),
    }


def test_what_the_thresholds_reject_never_stands_for_others(tmp_path: Path) -> None:
    """A longer text of too many digits wins no cluster and counts in none."""
    words = base(1)
    full = document("w:1", [*words, "9" * 1500])
    rows = [full, document("w:2", words), document("w:3", edited(words, 7))]
    found = by_id(rows, find(tmp_path, rows))
    assert set(found) == {"w:2", "w:3"}
    assert {size for _, size, _ in found.values()} == {2}


def test_candidates_below_the_threshold_are_no_duplicates(tmp_path: Path) -> None:
    """A shared band alone decides nothing: the true similarity does, to the last n-gram."""
    rows = [document("w:1", base(1)), document("w:2", edited(base(1), 40))]
    near = NearDuplicateConfig(rows=1, threshold=71 / 81)
    above = NearDuplicateConfig(rows=1, threshold=71 / 81 + 1e-9)
    assert len(set(base(1))) > 70
    found = find(tmp_path / "a", rows, config=CurationConfig(near_duplicates=near))
    assert len(found) == 2
    assert find(tmp_path / "b", rows, config=CurationConfig(near_duplicates=above)) == {}
    counts = total_counts(Workspace(str(tmp_path / "b" / "work")).statuses("near-duplicates"))
    assert (counts["candidate_edges"], counts["near_duplicate_edges"]) == (1, 0)


def test_a_large_bucket_costs_two_edges_a_text(tmp_path: Path) -> None:
    """Three hundred variants of one page are one cluster, with at most 2 edges a text and band."""
    rows = [document(f"w:{i}", [*edited(base(1, 200), i % 200), f"v{i}"]) for i in range(300)]
    found = find(tmp_path, rows)
    assert len(found) == 300
    assert {size for _, size, _ in found.values()} == {300}
    assert sum(own for *_, own in found.values()) == 1
    counts = total_counts(Workspace(str(tmp_path / "work")).statuses("near-duplicates"))
    assert 299 <= counts["candidate_edges"] <= 2 * 14 * 300
    assert counts["unsettled_documents"] == 0


def test_no_near_duplicate_no_decision(tmp_path: Path) -> None:
    """Texts too short for an n-gram, and texts that share nothing, pass through."""
    rows = [document(f"w:{i}", base(i)) for i in range(5)] + [document("w:s", ["few", "words"])]
    assert find(tmp_path / "a", rows) == {}
    assert find(tmp_path / "b", []) == {}


def test_unspaced_scripts_are_compared_by_characters(tmp_path: Path) -> None:
    """Japanese texts that differ in one of 120 characters are near duplicates."""
    letters = [chr(0x4E00 + i) for i in range(3000)]
    text = "".join(random.Random(0).choices(letters, k=120))
    rows = [document("w:1", [text]), document("w:2", [text[:60] + "の" + text[61:]])]
    assert len(find(tmp_path, rows)) == 2


def test_bands_meet_in_the_shard_of_their_hash() -> None:
    """Every band of every document comes out once, in the shard that its hash decides."""
    texts = [" ".join(base(number)) for number in range(5)] + ["too short"]
    rows = bands_of(np.arange(6, dtype=np.uint64), texts, NearDuplicateConfig(bands=3))
    assert rows["key"].tolist() == [0, 1, 2, 3, 4]
    found = list(bands_by_shard(rows, 7))
    assert all(blob.dtype == BAND for _, blob in found)
    pairs = {(shard, int(r["key"]), int(r["band"])) for shard, blob in found for r in blob}
    owners = shard_of(rows["bands"].ravel(), 7).reshape(5, 3).tolist()
    low = (rows["bands"] & np.uint64(0xFFFFFFFF)).tolist()
    assert pairs == {(owners[k][i], k, low[k][i]) for k in range(5) for i in range(3)}


def test_ties_go_to_the_smallest_id() -> None:
    """Priority, length, id: in this order, and the copies of all add up."""
    nodes = pa.table(
        {
            "key": pa.array([5, 6, 7, 8], pa.uint64()),
            "id": ["b", "a", "z", "c"],
            "priority": pa.array([1, 1, 0, 3], pa.int32()),
            "length": [10, 10, 99, 1],
            "copies": [1, 2, 3, 4],
            "center": pa.array([5, 5, 5, 8], pa.uint64()),
        }
    )
    rows = sorted(decide(nodes).to_pylist(), key=lambda row: row[KEY])
    assert [(r["kept"], r["size"], r["is_kept"]) for r in rows] == [
        ("a", 6, False),
        ("a", 6, True),
        ("a", 6, False),
        ("c", 4, True),
    ]
