"""Papers of every layout to documents with their citations."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.records import Reject
from curation.sources import s2orc, streams
from curation.sources.raw import RawDocument, RawSection

TITLE, ABSTRACT = "On Rivers", "Rivers rise and fall. We measure both."
WHOLE = f"{TITLE}\n{ABSTRACT}\nOne. Two."


def span(text: str) -> dict[str, Any]:
    start = WHOLE.index(text)
    return {"start": start, "end": start + len(text)}


def entry(paper: Any) -> dict[str, Any]:
    return {"start": 0, "end": 1, "attributes": {"matched_paper_id": paper}}


METADATA = {
    "paper_id": "7",
    "title": TITLE,
    "abstract": ABSTRACT,
    "year": 1999,
    "outbound_citations": ["8", "9", "8", "7"],
    "s2_url": "https://x.org/7",
}
ANNOTATIONS = {
    "title": json.dumps([span(TITLE)]),
    "abstract": json.dumps([span(ABSTRACT)]),
    "bibentry": json.dumps([entry(8), {"start": 1, "end": 2}, entry(9)]),
}
LAYOUTS = {
    "metadata": METADATA,
    "s2orc": {
        "corpusid": 7,
        "content": {"text": WHOLE, "annotations": ANNOTATIONS},
        "year": 1999,
        "url": "https://x.org/7",
    },
    "s2orc, offsets as text": {
        "corpusid": 7,
        "content": {
            "text": WHOLE,
            "annotations": {
                "title": [{k: str(v) for k, v in span(TITLE).items()}],
                "abstract": [{k: str(v) for k, v in span(ABSTRACT).items()}],
                "bibentry": [entry("8"), entry("9")],
            },
        },
        "year": 1999,
        "url": "https://x.org/7",
    },
    "s2orc_v2": {
        "corpusid": 7,
        "title": TITLE,
        "body": {"text": WHOLE, "annotations": {"abstract": json.dumps([span(ABSTRACT)])}},
        "bibliography": {
            "text": "",
            "annotations": {"bib_entry": json.dumps([entry(8), entry(9)])},
        },
        "year": 1999,
        "url": "https://x.org/7",
    },
    "graph": {
        "corpusId": 7,
        "title": TITLE,
        "abstract": ABSTRACT,
        "references": [{"corpusId": 8}, {"title": "unresolved"}, {"corpusId": 9}],
        "year": 1999,
        "url": "https://x.org/7",
    },
}


def read(*rows: Any) -> list[RawDocument | Reject]:
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    return list(s2orc.read_papers(io.BytesIO(b"\n".join(lines)), "s2", "en"))


@pytest.mark.parametrize("row", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_gives_the_same_paper(row: dict[str, Any]) -> None:
    """Title, abstract and the papers cited, each once and never itself."""
    assert read(row) == [
        RawDocument(
            id="s2:7",
            title=TITLE,
            sections=[RawSection("", 0, ABSTRACT)],
            abstract=ABSTRACT,
            url="https://x.org/7",
            date="1999",
            language="en",
            cites=["s2:8", "s2:9"],
        )
    ]


BAD: dict[str, list[Any]] = {
    "malformed_json": [b"{", b'{"title": "\xff"}', b"[" * 100_000, b"\x00"],
    "not_an_object": [[], 1, None],
    "missing_paper_id": [{}, {"paper_id": None}, {"corpusid": True}, {"paper_id": ""}],
    "missing_title": [METADATA | {"title": None}, METADATA | {"title": " "}],
}

NO_ABSTRACT: list[Any] = [
    METADATA | {"abstract": None},
    {
        "corpusid": 1,
        "title": "T",
        "content": {"text": None, "annotations": {"abstract": "[1]"}},
    },
    {"corpusid": 1, "title": "T", "content": {"text": "x", "annotations": {"abstract": "[{"}}},
    {
        "corpusid": 1,
        "title": "T",
        "body": {"text": "x", "annotations": {"abstract": [{"start": 5, "end": -1}]}},
    },
]


@pytest.mark.parametrize(("reason", "row"), [(r, row) for r, rows in BAD.items() for row in rows])
def test_a_bad_row_is_rejected_alone(reason: str, row: Any) -> None:
    """The papers before and behind it are read."""
    found = read(METADATA, row, METADATA)
    assert [getattr(record, "reason", "") for record in found] == ["", reason, ""]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "paper_id",
                        "corpusid",
                        "title",
                        "abstract",
                        "content",
                        "body",
                        "text",
                        "annotations",
                        "bibliography",
                        "bib_entry",
                        "bibentry",
                        "start",
                        "end",
                        "attributes",
                        "references",
                        "matched_paper_id",
                        "outbound_citations",
                        "year",
                        "url",
                    ]
                ),
                inner,
                max_size=6,
            )
        ),
        max_leaves=12,
    )
)
@settings(deadline=None, max_examples=150)
def test_any_shape_is_a_paper_or_a_reject(row: Any) -> None:
    """Whatever stands in the fields, nothing raises."""
    (found,) = read(row)
    assert isinstance(found, RawDocument | Reject)


@pytest.mark.parametrize("row", NO_ABSTRACT, ids=range(len(NO_ABSTRACT)))
def test_a_paper_without_an_abstract_still_cites(row: Any) -> None:
    """It has a title and no section."""
    (paper,) = read(row)
    assert isinstance(paper, RawDocument)
    assert paper.sections == []
    assert paper.title


def test_real_papers(real_data: Path) -> None:
    """All of the sample's 1,000 papers have a title, 488 an abstract."""
    path = real_data / "scientific" / "s2orc-metadata-sample.jsonl.gz"
    with streams.open_stream(str(path)) as stream:
        found = list(s2orc.read_papers(stream, "s2", "en"))
    papers = [paper for paper in found if isinstance(paper, RawDocument)]
    assert (len(found), len(papers)) == (1000, 1000)
    assert sum(bool(paper.sections) for paper in papers) == 488
    assert sum(len(paper.cites) for paper in papers) > 1000
