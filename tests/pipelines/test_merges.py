"""What happens to sorted rows before they become a part, and to thin keys before that."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import dedup
from curation.config import CurationConfig, SourceConfig
from curation.filters import quality
from curation.pairs import PairConfig
from curation.records import DOCUMENT, PAIR, Document, Pair, Reject, Section, text_key, to_table
from curation.runs import KEY
from curation.tokens import TokenCounter
from pipelines.curate import by_shard, thin_row, write_drops
from pipelines.merges import (
    id_hash,
    keep_all,
    load_array,
    load_drops,
    merge_documents,
    merge_pairs,
    save_array,
)
from pipelines.spill import document_keys, pair_keys
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
    return Document(
        id=identity,
        source=source,
        title=f"Title {identity}",
        text=text,
        language="en",
        script="Latin",
        date=date,
        sections=[Section("", 0, 0, len(text))],
        quality=quality(text, "Latin"),
        text_hash=text_key(text),
    )


def sorted_table(records: list[Any], schema: pa.Schema, keys: Any) -> pa.Table:
    table = to_table(records, schema).append_column(KEY, pa.array(keys(records)))
    return table.sort_by([(KEY, "ascending"), ("id", "ascending")])


NO_DROPS = np.empty(0, dedup.THIN_KEY)


def test_of_equal_texts_the_best_source_is_kept(counter: TokenCounter) -> None:
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
    kept, extras = merge_documents(table, NO_DROPS, CONFIG, counter)
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


def test_documents_without_a_usable_pair_say_why(counter: TokenCounter) -> None:
    """A reason of the pair step comes out among the rejects."""
    table = sorted_table([document("w:1", "Short.")], DOCUMENT, document_keys)
    kept, extras = merge_documents(table, NO_DROPS, CONFIG, counter)
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
    versions: list[tuple[int, str]],
    shuffle: random.Random,
) -> None:
    """Through shards and stored decisions: each id keeps its latest date, whatever the order."""
    rows = [
        document(f"web:{number}", f"Text of version {i} of page {number}.", date=date)
        for i, (number, date) in enumerate(versions)
    ]
    workspace = Workspace(str(tmp_path_factory.mktemp("drops")))
    thin = [thin_row(row) for row in rows]
    shuffle.shuffle(thin)
    blobs: dict[int, list[dedup.Array]] = {}
    for half in (thin[::2], thin[1::2]):
        for shard, part in by_shard(np.array(half, dedup.THIN_KEY)):
            assert set((part["id"] % np.uint64(64)).tolist()) == {shard}
            blobs.setdefault(shard, []).append(part)
    for item in blobs.items():
        write_drops(item, workspace)
    table = sorted_table(rows, DOCUMENT, document_keys)
    kept, extras = merge_documents(table, load_drops(workspace), CONFIG, counter)
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
    assert thin_row(row) == (id_hash("a"), int(document_keys([row])[0]), number, 4)
    assert dedup.THIN_KEY.itemsize == 28


def test_of_equal_pairs_one_is_kept() -> None:
    """Among the same query and text the better source wins; the others name its document."""
    pairs = [
        Pair("q", "text", "section", "en", "en", "web", document_id="w:1"),
        Pair("q", "Text ", "title-body", "en", "en", "wikipedia", document_id="a:1"),
        Pair("q", "other", "section", "en", "en", "web", document_id="w:2"),
    ]
    kept, extras = merge_pairs(sorted_table(pairs, PAIR, pair_keys), CONFIG)
    assert sorted(kept["document_id"].to_pylist()) == ["a:1", "w:2"]
    [(kind, reject, size)] = extras
    assert (kind, size) == ("rejects", 0)
    assert reject == Reject(pairs[0].id, "write", "duplicate_pair", "web", "en", "a:1")


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
    assert load_drops(Workspace(str(tmp_path / "none"))).size == 0
