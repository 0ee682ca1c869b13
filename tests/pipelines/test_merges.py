"""What happens to sorted rows before they become a part, and to thin keys before that."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import caps, dedup
from curation.config import CurationConfig, SourceConfig
from curation.contamination import DecontaminationConfig, build
from curation.filters import Decider
from curation.pairs import PairConfig
from curation.quality import fill_scores
from curation.records import DOCUMENT, PAIR, Document, Pair, Reject, Section, text_key, to_table
from curation.runs import KEY
from curation.tokens import TokenCounter
from pipelines.decide import by_shard, version_keys
from pipelines.decisions import DECISION
from pipelines.merges import (
    PairMergeSetup,
    Verdicts,
    id_hash,
    keep_all,
    load_array,
    load_shards,
    merge_documents,
    merge_pairs,
    save_array,
)
from pipelines.spill import document_keys, pair_digests, pair_keys
from pipelines.work import Workspace

CONFIG = CurationConfig(
    sources=(
        SourceConfig(kind="c4", path="x", name="web"),
        SourceConfig(kind="wikipedia", path="x", priority=2),
    ),
    pairs=PairConfig(relations=("title-body",), min_positive_characters=10),
)


@pytest.fixture(scope="module")
def counter(tiny_encoder: str) -> TokenCounter:
    return TokenCounter(tiny_encoder)


def document(identity: str, text: str, source: str = "web", date: str = "") -> Document:
    made = Document(
        id=identity,
        source=source,
        title=f"Title {identity}",
        text=text,
        language="en",
        declared_language="en",
        script="Latin",
        date=date,
        sections=[Section("", 0, 0, len(text))],
        text_hash=text_key(text),
    )
    fill_scores([made])
    return made


def sorted_table(records: list[Any], schema: pa.Schema, keys: Any) -> pa.Table:
    table = to_table(records, schema).append_column(KEY, pa.array(keys(records)))
    return table.sort_by([(KEY, "ascending"), ("id", "ascending")])


NO_HOSTS = np.empty(0, caps.HOST_KEY)


def verdicts(older: dedup.Array | None = None, titles: tuple[int, ...] = ()) -> Verdicts:
    empty = np.empty(0, dedup.THIN_KEY)
    return Verdicts(empty if older is None else older, np.array(titles, np.uint64))


@pytest.fixture(scope="module")
def decider(tmp_path_factory: pytest.TempPathFactory) -> Decider:
    """Decides with one bound, which the short texts of these tests keep."""
    path = tmp_path_factory.mktemp("bounds") / "bounds.toml"
    path.write_text('version = "t"\n[default]\nmax_digit_share = 0.5\n')
    return Decider(CurationConfig(thresholds=str(path)))


def test_of_equal_texts_the_best_source_is_kept(counter: TokenCounter, decider: Decider) -> None:
    """Priority decides, then the source's name and the id; rejects name the winner."""
    same, other = "The same words in a text.", "Quite another text than that."
    rows = [
        document("w:1", same),
        document("a:9", same.upper(), "wikipedia"),
        document("w:0", same + "  "),
        document("w:3", other),
        document("w:2", other),
    ]
    table = sorted_table(rows, DOCUMENT, document_keys)
    kept, extras = merge_documents(table, verdicts(), decider, CONFIG, counter)
    assert sorted(kept["id"].to_pylist()) == ["a:9", "w:2"]
    assert kept.schema.names == DOCUMENT.names
    rejects = {r.id: (r.reason, r.value) for kind, r, _ in extras if kind == "rejects"}
    assert rejects == {
        "w:0": ("duplicate_text", "a:9"),
        "w:1": ("duplicate_text", "a:9"),
        "w:3": ("duplicate_text", "w:2"),
    }
    pairs = [r for kind, r, _ in extras if kind == "pairs"]
    assert sorted(pair.document_id for pair in pairs) == ["a:9", "w:2"]
    for pair in pairs:
        assert pair.positive_tokens == counter.lengths([pair.positive])[0] > 5


def test_near_duplicates_name_the_document_kept(counter: TokenCounter, decider: Decider) -> None:
    """A decision drops a text with what it stands for; its size replaces the count of copies."""
    rows = [document(f"w:{i}", f"A text of number {i} and no other.") for i in range(4)]
    rows.append(document("w:9", rows[3].text))
    keys = document_keys(rows[:3])
    decided = [("w:0", 5, True), ("w:0", 5, False), ("elsewhere", 7, False)]
    clusters = pa.table(
        [pa.array(column) for column in zip(*decided, strict=True)], schema=DECISION
    )
    clusters = clusters.append_column(KEY, pa.array(keys)).sort_by(KEY)
    table = sorted_table(rows, DOCUMENT, document_keys)
    kept, extras = merge_documents(table, verdicts(), decider, CONFIG, counter, clusters=clusters)
    assert kept.schema.equals(DOCUMENT)
    sizes = zip(
        kept["id"].to_pylist(), kept["near_duplicate_cluster_size"].to_pylist(), strict=True
    )
    assert sorted(sizes) == [("w:0", 5), ("w:3", 2)]
    rejects = {r.id: (r.reason, r.value) for kind, r, _ in extras if kind == "rejects"}
    assert rejects == {
        "w:1": ("near_duplicate", "w:0"),
        "w:2": ("near_duplicate", "elsewhere"),
        "w:9": ("duplicate_text", "w:3"),
    }


def test_documents_without_a_usable_pair_say_why(counter: TokenCounter, decider: Decider) -> None:
    """A reason of the pair step comes out among the rejects."""
    table = sorted_table([document("w:1", "Short.")], DOCUMENT, document_keys)
    kept, extras = merge_documents(table, verdicts(), decider, CONFIG, counter)
    [(kind, reject, _)] = extras
    assert kept.num_rows == 1
    assert (kind, reject.id, reject.reason) == ("rejects", "w:1#title-body", "positive_too_short")


@settings(deadline=None, max_examples=40)
@given(
    versions=st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(["", "2019-01-01", "2024-06-30"])),
        min_size=1,
        max_size=12,
    ),
    shuffle=st.randoms(use_true_random=False),
)
def test_only_the_newest_version_of_an_id_stays(
    tmp_path_factory: pytest.TempPathFactory,
    counter: TokenCounter,
    decider: Decider,
    versions: list[tuple[int, str]],
    shuffle: random.Random,
) -> None:
    """Through shards and stored decisions: each id keeps its latest date, whatever the order."""
    rows = [
        document(f"web:{number}", f"Text of version {i} of page {number}.", date=date)
        for i, (number, date) in enumerate(versions)
    ]
    table = sorted_table(rows, DOCUMENT, document_keys)
    thin = version_keys(table).tolist()
    shuffle.shuffle(thin)
    blobs: dict[int, list[dedup.Array]] = {}
    for half in (thin[::2], thin[1::2]):
        for shard, part in by_shard(np.array(half, dedup.THIN_KEY), "id"):
            assert set((part["id"] % np.uint64(64)).tolist()) == {shard}
            blobs.setdefault(shard, []).append(part)
    older = np.concatenate([dedup.older_versions(np.concatenate(b)) for b in blobs.values()])
    kept, extras = merge_documents(table, verdicts(older), decider, CONFIG, counter)
    by_id: dict[str, list[str]] = {}
    for row in rows:
        by_id.setdefault(row.id, []).append(row.date)
    found = dict(zip(kept["id"].to_pylist(), kept["date"].to_pylist(), strict=True))
    assert kept.num_rows == len(by_id)
    assert found == {identity: max(dates) for identity, dates in by_id.items()}
    reasons = [r.reason for kind, r, _ in extras if kind == "rejects"]
    assert reasons == ["older_version"] * (len(rows) - len(by_id))


@pytest.mark.parametrize(
    ("date", "number"),
    [("2024-06-30", 20240630), ("", 0), ("2024", 0), ("20240630", 20240630), ("June", 0)],
)
def test_a_thin_key_has_28_bytes_and_a_date(date: str, number: int) -> None:
    """A date that is none counts as the oldest."""
    row = document("a", "text", date=date)
    [thin] = version_keys(sorted_table([row], DOCUMENT, document_keys)).tolist()
    assert thin == (id_hash("a"), int(document_keys([row])[0]), number, 4)
    assert dedup.THIN_KEY.itemsize == 28


def test_what_thresholds_reject_says_so(counter: TokenCounter, decider: Decider) -> None:
    """A rejected document leaves its reason and the beginning of its text, and gives no pair."""
    rows = [document("w:1", "1234 5678 nine " * 3), document("w:2", "A text of words alone.")]
    table = sorted_table(rows, DOCUMENT, document_keys)
    kept, extras = merge_documents(table, verdicts(), decider, CONFIG, counter)
    assert kept["id"].to_pylist() == ["w:2"]
    [reject] = [r for kind, r, _ in extras if kind == "rejects"]
    wanted = ("w:1", "filter", "digit_share_too_high", "0.6667 > 0.5", rows[0].text)
    assert (reject.id, reject.stage, reject.reason, reject.value, reject.excerpt) == wanted
    assert [r.document_id for kind, r, _ in extras if kind == "pairs"] == ["w:2"]


def test_a_generic_title_gives_no_pair(counter: TokenCounter, decider: Decider) -> None:
    """The document stays; only the title of that source is generic."""
    rows = [document(f"w:{i}", f"A text number {'abc'[i]} here.", s) for i, s in enumerate(SOURCES)]
    for row in rows:
        row.title = "Home"
    generic = verdicts(titles=(caps.title_hash("web", " HOME "),))
    table = sorted_table(rows, DOCUMENT, document_keys)
    kept, extras = merge_documents(table, generic, decider, CONFIG, counter)
    assert kept.num_rows == 3
    rejects = {r.id: r.reason for kind, r, _ in extras if kind == "rejects"}
    assert rejects == {f"w:{i}#title-body": "generic_title" for i in (0, 2)}
    assert [r.document_id for kind, r, _ in extras if kind == "pairs"] == ["w:1"]


SOURCES = ("web", "wikipedia", "web")


def test_hosts_are_told_where_a_cap_counts_them(counter: TokenCounter, decider: Decider) -> None:
    """One row a pair of a page with an address; an encyclopedia is not counted."""
    options = {"relations": ("title-body",), "min_positive_characters": 10}
    capped = PairConfig(**options, max_pairs_per_domain=1)  # type: ignore[arg-type]
    config = dataclasses.replace(CONFIG, pairs=capped)
    rows = [document(f"w:{i}", f"A text number {'abc'[i]} here.", s) for i, s in enumerate(SOURCES)]
    for row, url in zip(rows, ("https://www.A.example/x", "https://a.example/", ""), strict=True):
        row.url = url
    table = sorted_table(rows, DOCUMENT, document_keys)
    _, extras = merge_documents(table, verdicts(), decider, config, counter)
    [host] = [r for kind, r, _ in extras if kind == "hosts"]
    assert (host.host, host.document) == (caps.hash64("a.example"), id_hash("w:0"))
    _, extras = merge_documents(table, verdicts(), decider, CONFIG, counter)
    assert [r for kind, r, _ in extras if kind == "hosts"] == []


def test_pairs_beyond_a_cap_are_dropped_with_their_reason() -> None:
    """Of one text from two documents only the capped document's pair goes."""
    pairs = [
        Pair("q", "text", "section", "en", "en", "web", document_id="w:1"),
        Pair("q", "text", "section", "en", "en", "web", document_id="w:2"),
        Pair("q", "other", "section", "en", "en", "web", document_id="w:1"),
    ]
    key = int(pair_digests([pairs[0].id])[0])
    over = np.array([(1, key, id_hash("w:1"))], caps.HOST_KEY)
    kept, extras = merge_pairs(sorted_table(pairs, PAIR, pair_keys), over, CONFIG)
    assert sorted(kept["document_id"].to_pylist()) == ["w:1", "w:2"]
    assert [(r.id, r.reason) for _, r, _ in extras] == [(pairs[0].id, "domain_cap")]


def test_of_equal_pairs_one_is_kept() -> None:
    """Among the same query and text the better source wins; the others name its document."""
    pairs = [
        Pair("q", "text", "section", "en", "en", "web", document_id="w:1"),
        Pair("q", "Text ", "title-body", "en", "en", "wikipedia", document_id="a:1"),
        Pair("q", "other", "section", "en", "en", "web", document_id="w:2"),
    ]
    kept, extras = merge_pairs(sorted_table(pairs, PAIR, pair_keys), NO_HOSTS, CONFIG)
    assert sorted(kept["document_id"].to_pylist()) == ["a:1", "w:2"]
    [(kind, reject, size)] = extras
    assert (kind, size) == ("rejects", len("text"))
    assert reject == Reject(pairs[0].id, "write", "duplicate_pair", "web", "en", "a:1", "text")


def test_contaminated_pairs_name_the_query(tmp_path: Path) -> None:
    """A pair goes whose query is one of an evaluation set, or whose text holds its passage."""
    passage = " ".join(f"word{i}" for i in range(30))
    (tmp_path / "qrels.tsv").write_text("q1\td1\t1\n")
    (tmp_path / "corpus.jsonl").write_text(json.dumps({"_id": "d1", "text": passage}))
    (tmp_path / "queries.jsonl").write_text(json.dumps({"_id": "q1", "text": "Who is it?"}))
    config = DecontaminationConfig(sets=(str(tmp_path),))
    build(config).save(str(tmp_path / "work" / "decontamination"))
    pairs = [
        Pair("who is it", "An answer.", "section", "en", "en", "web"),
        Pair("A title", f"Before. {passage} After.", "section", "en", "en", "web"),
        Pair("Another title", "Clean text.", "section", "en", "en", "web"),
    ]
    merge = PairMergeSetup(CurationConfig(decontamination=config), Workspace(f"{tmp_path}/work"))()
    kept, extras = merge(sorted_table(pairs, PAIR, pair_keys))
    assert kept["query"].to_pylist() == ["Another title"]
    rejects = {r.id: (r.reason, r.value, r.excerpt) for _, r, _ in extras}
    name = f"{tmp_path.name}/q1"
    assert rejects == {p.id: ("contaminated", name, p.query) for p in pairs[:2]}
    kept, extras = merge(sorted_table(pairs[:0], PAIR, pair_keys))  # a range without rows
    assert (kept.num_rows, list(extras)) == (0, [])


def test_keep_all_drops_the_key_only() -> None:
    """The plain merge hands every row on."""
    pairs = [Pair("q", f"t{i}", "section", "en", "en", "web") for i in range(3)]
    table, extras = keep_all()(sorted_table(pairs, PAIR, pair_keys))
    assert (table.schema.names, table.num_rows, extras) == (PAIR.names, 3, [])


def test_arrays_are_stored_without_pickle(tmp_path: Path) -> None:
    """Arrays come back as they were; objects are refused in both directions."""
    path = str(tmp_path / "a.npy")
    rows = np.array([(1, 2, 3, 4)], dedup.THIN_KEY)
    save_array(path, rows)
    assert load_array(path).tolist() == rows.tolist()
    with pytest.raises(ValueError, match="Object arrays"):
        save_array(path, np.array([{}], object))
    assert load_array(path).tolist() == rows.tolist()
    assert load_shards(Workspace(str(tmp_path / "none")), "drops", dedup.THIN_KEY).size == 0
