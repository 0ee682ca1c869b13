"""Files cut into ranges: any size and number of them give the same records."""

from __future__ import annotations

import bz2
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import ranges, splitting
from curation.config import CurationConfig, SourceConfig
from curation.records import Reject
from curation.splitting import Split, SplitReader
from tests.builders import PARAGRAPH, dump_xml, page_xml

BROKEN = "<page><title>Cut</title><id>77</id><revision><text>abc\n"
PAGES = [page_xml(f"Page {i}", f"{PARAGRAPH * (1 + i % 3)} Number {i}.", i) for i in range(40)]
PAGES[7] = BROKEN
PAGES[23] = page_xml("Bad", "x", 23).replace(">x<", "> & <")
DUMP = dump_xml(PAGES, "fr").encode()


def multistream(pages: list[str], per_stream: int) -> tuple[bytes, bytes]:
    """A dump as MediaWiki writes it: head, streams of pages, end; and its index."""
    whole = dump_xml(pages, "fr")
    head, _, rest = whole.partition("<page>")
    tail = "</mediawiki>\n"
    assert rest.endswith(tail)
    data, index = bz2.compress(head.encode()), ""
    for start in range(0, len(pages), per_stream):
        group = pages[start : start + per_stream]
        index += "".join(f"{len(data)}:{start + i}:Page {i}\n" for i in range(len(group)))
        data += bz2.compress("".join(group).encode(), 1)
    return data + bz2.compress(tail.encode()), bz2.compress(index.encode())


def records(path: Path, split_mb: float, kind: str = "wikipedia", **options: Any) -> list[Any]:
    """What all splits of a file give, in the file's order."""
    source = SourceConfig(kind=kind, path=str(path), **options)
    config = CurationConfig(sources=(source,), split_mb=split_mb)
    splits = sorted(splitting.list_splits(config), key=lambda split: split.start)
    assert len({split.element for split in splits}) == len(splits)
    return [record for split in splits for record in SplitReader(split, source)]


def split_count(path: Path, split_mb: float, kind: str = "wikipedia", **options: Any) -> int:
    source = SourceConfig(kind=kind, path=str(path), **options)
    return len(splitting.list_splits(CurationConfig(sources=(source,), split_mb=split_mb)))


@given(size=st.integers(1_100, 40_000))
@settings(deadline=None, max_examples=25)
def test_a_plain_dump_gives_the_same_pages_for_any_split(
    tmp_path_factory: pytest.TempPathFactory, size: int
) -> None:
    """Pages, broken pages and the language of the head: all as when read in one piece."""
    path = tmp_path_factory.getbasetemp() / "plain.xml"
    path.write_bytes(DUMP)
    whole = records(path, 100)
    assert [r.reason for r in whole if isinstance(r, Reject)] == ["truncated_page", "malformed_xml"]
    assert len(whole) == 40
    assert {record.language for record in whole} == {"fr"}
    assert records(path, size / (1 << 20)) == whole
    assert split_count(path, size / (1 << 20)) == -(-len(DUMP) // size)


@pytest.mark.parametrize("index", ["fits", "none", "wrong", "corrupt"])
@pytest.mark.parametrize("per_stream", [1, 3, 100])
def test_a_multistream_dump_gives_the_same_pages_for_any_split(
    index: str, per_stream: int, tmp_path: Path
) -> None:
    """With its index, without, and with that of another dump."""
    path = tmp_path / "frwiki-20240101-pages-articles-multistream1.xml-p1p40.bz2"
    data, listing = multistream(PAGES, per_stream)
    path.write_bytes(data)
    if index != "none":
        wrong = bz2.compress(b"".join(b"%d:1:A\n" % i for i in range(0, len(data), 90)))
        content = {"fits": listing, "wrong": wrong, "corrupt": b"BZh9" + listing[4:-40]}[index]
        Path(ranges.index_of(str(path))).write_bytes(content)
    whole = records(path, 100)
    assert len(whole) == 40
    for size in (1_100, 2_500, 5_000):
        assert records(path, size / (1 << 20)) == whole
    if per_stream < 100:
        assert split_count(path, 1_100 / (1 << 20)) > 3


def test_the_index_is_no_dump(tmp_path: Path) -> None:
    """A glob may match both; only the dump is read."""
    data, index = multistream(PAGES, 5)
    for name, content in (("", data), ("-index", index)):
        kind = "txt" if name else "xml"
        (tmp_path / f"w-pages-articles-multistream{name}.{kind}.bz2").write_bytes(content)
    source = SourceConfig(kind="wikipedia", path=f"{tmp_path}/*.bz2")
    (split,) = splitting.list_splits(CurationConfig(sources=(source,)))
    assert split.path.endswith("multistream.xml.bz2")
    assert ranges.index_of(split.path).endswith("multistream-index.txt.bz2")


@given(cuts=st.lists(st.integers(0, len(DUMP)), min_size=1, max_size=12), size=st.integers(1, 3))
@settings(deadline=None, max_examples=25)
def test_pages_that_lie_across_streams_are_read_once(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], size: int
) -> None:
    """Parallel compressors cut anywhere: also inside a page's opening tag."""
    edges = sorted({0, *cuts, len(DUMP)})
    parts = [DUMP[a:b] for a, b in itertools.pairwise(edges)]
    path = tmp_path_factory.getbasetemp() / "across.xml.bz2"
    path.write_bytes(b"".join(bz2.compress(part) for part in parts))
    whole = records(path, 100)
    assert len(whole) == 40
    assert records(path, 0.001 * size) == whole


@given(damage=st.integers(0, 9_999), length=st.integers(1, 300))
@settings(deadline=None, max_examples=30)
def test_damage_costs_the_same_for_any_split(
    tmp_path_factory: pytest.TempPathFactory, damage: int, length: int
) -> None:
    """Noise anywhere in a multistream dump: the streams around it are read, however it is cut."""
    data = bytearray(multistream(PAGES, 4)[0])
    at = 10 + damage % (len(data) - 10)  # the first bytes say what the file is
    data[at : at + length] = b"\xaa" * len(data[at : at + length])
    path = tmp_path_factory.getbasetemp() / "damaged.xml.bz2"
    path.write_bytes(data)
    whole = records(path, 100)
    assert len(whole) > 20
    for size in (1_100, 4_000):
        found = records(path, size / (1 << 20))
        assert sorted(map(repr, found)) == sorted(map(repr, whole))


LINES = [json.dumps({"title": f"T{i}", "text": f"T{i}\n{PARAGRAPH} {i}"}) for i in range(60)]
LINES[9:12] = ["", "{malformed", '["list"]']
LINES[30] = json.dumps({"title": 5, "text": "x" * 400})


@pytest.mark.parametrize("kind", ["c4", "json"])
@given(size=st.integers(1_050, 9_000), last=st.sampled_from(["", "\n", "\r\n", "\n\n"]))
@settings(deadline=None, max_examples=20)
def test_lines_are_the_same_for_any_split(
    tmp_path_factory: pytest.TempPathFactory, kind: str, size: int, last: str
) -> None:
    """Every line is read once, malformed ones are the same rejects."""
    path = tmp_path_factory.getbasetemp() / f"{kind}.jsonl"
    path.write_text("\n".join(LINES) + last)
    options: dict[str, Any] = {}
    if kind == "json":
        options = {"columns": {"title": "title", "text": "text"}}
    whole = records(path, 100, kind, **options)
    assert len(whole) == 59
    assert records(path, size / (1 << 20), kind, **options) == whole
    assert split_count(path, size / (1 << 20), kind, **options) > 1


NOT_CUT = {
    "gzip": b"\x1f\x8b" + bytes(5000),
    "utf-16": "\ufeff<page>".encode("utf-16-le") + bytes(5000),
    "one array": b"[" + b'{"a": 1},\n' * 500 + b"]",
    "one object": b"{\n" + b'"a": 1,\n' * 500 + b"}",
}


@pytest.mark.parametrize("data", NOT_CUT.values(), ids=NOT_CUT)
def test_what_cannot_be_cut_is_one_split(data: bytes, tmp_path: Path) -> None:
    """Files of one compressed stream, of wide characters, and of one JSON value."""
    path = tmp_path / "file"
    path.write_bytes(data)
    assert ranges.ranges(str(path), len(data), "lines", 1024) == [(0, len(data))]


def test_splits_of_a_file_without_pages_say_so_once(tmp_path: Path) -> None:
    """Several splits of nothing are one reject."""
    path = tmp_path / "x.xml"
    path.write_bytes(b"<mediawiki>" + b"nothing " * 1000)
    (found,) = records(path, 0.001)
    assert found.reason == "no_records"


def test_the_first_split_may_be_empty(tmp_path: Path) -> None:
    """A long head is no lack of records."""
    path = tmp_path / "x.xml"
    path.write_bytes(b"<mediawiki>" + b"head " * 1000 + PAGES[0].encode())
    assert [record.title for record in records(path, 0.001)] == ["Page 0"]


def test_a_split_tells_its_own_share(tmp_path: Path) -> None:
    """Progress runs from zero to one over the split's bytes."""
    path = tmp_path / "x.xml"
    path.write_bytes(DUMP)
    half = len(DUMP) // 2
    reader = SplitReader(
        Split(0, str(path), half, half, False), SourceConfig(kind="wikipedia", path="x")
    )
    assert reader.share == 0
    assert all(0 <= reader.share <= 1 for _ in reader)
    assert reader.share == 1
