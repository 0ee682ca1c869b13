"""Sentences and links to translations."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.records import Reject
from curation.sources.bitext import Bitext
from curation.sources.opener import Opener
from curation.sources.raw import RawTranslation
from curation.sources.tatoeba import read_links

SENTENCES = """\
1\teng\tThe house is old.
2\tdeu\tDas Haus ist alt.
3\tdeu\tDas Haus, das ist alt.
4\tfra\tLa maison est vieille.
5\tcmn\t这个房子很旧。
7\teng\tThat house is old.
"""
LINKS = "1\t2\n2\t1\n1\t3\n3\t1\n2\t4\n4\t2\n1\t7\n7\t1\n5\t1\n1\t5\n1\t99\n"


def read(
    folder: Path,
    languages: tuple[str | None, str | None] = (None, None),
    sentences: str | bytes = SENTENCES,
    links: str = LINKS,
    block: int = 100,
) -> list[RawTranslation | Reject]:
    data = sentences.encode() if isinstance(sentences, str) else sentences
    (folder / "sentences.csv").write_bytes(data)
    (folder / "links.csv").write_text(links)
    paths = str(folder / "sentences.csv"), str(folder / "links.csv")
    return list(read_links(Opener(), *paths, Bitext("tatoeba", *languages), block))


def pairs(found: list[RawTranslation | Reject]) -> list[tuple[str, str | None, str | None]]:
    return [
        (r.id.rpartition(":")[2], r.language, r.translation_language)
        for r in found
        if isinstance(r, RawTranslation)
    ]


def test_each_link_is_a_translation_once(tmp_path: Path) -> None:
    """Links to sentences in the same language, and to deleted ones, are none."""
    assert pairs(read(tmp_path)) == [
        ("1-2", "en", "de"),
        ("1-3", "en", "de"),
        ("2-4", "de", "fr"),
        ("1-5", "en", "zh"),
    ]


@pytest.mark.parametrize(
    ("languages", "expected"),
    [
        (("de", "en"), [("1-2", "de", "en"), ("1-3", "de", "en")]),
        (("en", None), [("1-2", "en", "de"), ("1-3", "en", "de"), ("1-5", "en", "zh")]),
        ((None, "de"), [("1-2", "en", "de"), ("1-3", "en", "de"), ("2-4", "fr", "de")]),
        (("sw", "en"), []),
    ],
)
def test_wanted_languages_order_the_sides(
    tmp_path: Path,
    languages: tuple[str | None, str | None],
    expected: list[tuple[str, str, str]],
) -> None:
    """Only links between the two languages, the first one first."""
    assert pairs(read(tmp_path, languages)) == expected


@pytest.mark.parametrize("block", [1, 2, 3])
def test_blocks_do_not_matter(tmp_path: Path, block: int) -> None:
    """However few sentences are held at once, the translations are the same."""
    assert read(tmp_path, block=block) == read(tmp_path)


def test_damaged_lines_cost_themselves(tmp_path: Path) -> None:
    """Each is counted once, although the sentences are read once a block."""
    sentences = SENTENCES.encode().replace(b"alt.\n3", b"\xff\n3") + b"8 deu no tabs\n"
    found = read(tmp_path, sentences=sentences, links=LINKS + "no link\n\n", block=1)
    reasons = sorted(r.reason for r in found if isinstance(r, Reject))
    assert reasons == ["malformed_link", "missing_columns", "undecodable", "undecodable"]
    assert pairs(found) == [("1-3", "en", "de"), ("1-5", "en", "zh")]
