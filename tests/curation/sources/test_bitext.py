"""Columns and aligned files to translations."""

from __future__ import annotations

import bz2
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.records import Reject
from curation.sources import lines
from curation.sources.bitext import LAYOUTS, Bitext, read_aligned, read_columns
from curation.sources.opener import Opener
from curation.sources.raw import RawTranslation

GERMAN = Bitext("web", "en", "de")
NLLB = "The house\tDas Haus\t1.07\t0.9\t0.9\tcc\thttps://a.example\tcc\thttps://b.example"
CCMATRIX = "1.2\tThe house\tDas Haus"


def columns(text: str | bytes, layout: str = "nllb", bound: float | None = None) -> list[object]:
    data = text.encode() if isinstance(text, str) else text
    return list(read_columns(io.BytesIO(data), GERMAN, LAYOUTS[layout], bound))


def reasons(found: list[object]) -> list[str]:
    """The reason of each record; "" for a translation."""
    return [record.reason if isinstance(record, Reject) else "" for record in found]


@pytest.mark.parametrize(
    ("layout", "line", "score"),
    [("nllb", NLLB, 1.07), ("ccmatrix", CCMATRIX, 1.2), ("tsv", "The house\tDas Haus", None)],
)
def test_each_layout(layout: str, line: str, score: float | None) -> None:
    """Sides and score from their columns, languages from what is known of the file."""
    expected = RawTranslation("The house", "Das Haus", "en", "de", "web:en-de:0", score)
    assert columns(line + "\n", layout) == [expected]


@pytest.mark.parametrize(
    ("bound", "kept"), [(None, [False, True, True]), (1.0, [True] * 3), (1.5, [False] * 3)]
)
def test_scores_below_the_bound_are_rejected(bound: float | None, kept: list[bool]) -> None:
    """Without a bound of the source that of the format counts, 1.06; the bound itself is kept."""
    found = columns("1.05\ta\tb\n1.06\ta\tb\n1.3\ta\tb\n", "ccmatrix", bound)
    assert reasons(found) == ["" if keep else "low_score" for keep in kept]
    values = [record.value for record in found if isinstance(record, Reject)]
    assert values == [
        f"{s:.4f}" for s, keep in zip((1.05, 1.06, 1.3), kept, strict=True) if not keep
    ]


DAMAGED = {
    "missing_columns": b"1.2\tThe house",
    "malformed_score": b"good\tThe house\tDas Haus",
    "undecodable": b"1.2\tThe house\tDas H\xfc",
}


@pytest.mark.parametrize("reason", DAMAGED)
def test_a_damaged_line_costs_itself(reason: str) -> None:
    """Its neighbours are translations, and it is named by its number."""
    whole = CCMATRIX.encode()
    found = columns(b"\n".join([whole, DAMAGED[reason], b"", whole]), "ccmatrix")
    assert reasons(found) == ["", reason, ""]
    assert isinstance(found[1], Reject)
    assert (found[1].id, found[1].language) == ("web:en-de:1", "de")


@pytest.mark.parametrize("score", ["nan", "inf", "", "1,2"])
def test_a_score_that_is_no_number(score: str) -> None:
    """NaN compares as neither below nor above a bound, so it must not pass."""
    assert reasons(columns(f"{score}\ta\tb\n", "ccmatrix")) == ["malformed_score"]


def test_endless_lines_and_nul_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line beyond the bound is one reject; NUL bytes are left to the clean-up of text."""
    monkeypatch.setattr(lines.read_lines, "__defaults__", (100,))
    found = columns(b"1.2\t" + b"a" * 500 + b"\tb\n1.2\ta\0b\tc\n", "ccmatrix")
    assert reasons(found) == ["line_too_long", ""]
    assert isinstance(found[1], RawTranslation)
    assert found[1].text == "a\0b"


def aligned(folder: Path, first: bytes, second: bytes) -> tuple[list[object], Opener]:
    (folder / "a.en").write_bytes(first)
    (folder / "a.de").write_bytes(second)
    opener = Opener()
    paths = str(folder / "a.en"), str(folder / "a.de")
    return list(read_aligned(opener, *paths, GERMAN)), opener


def sides(found: list[object]) -> list[tuple[str, str]]:
    return [(r.text, r.translation) for r in found if isinstance(r, RawTranslation)]


def test_lines_of_two_files_are_pairs(tmp_path: Path) -> None:
    """Line by line; only a line feed ends one, and a line that is blank on both sides is none."""
    first = "One\u2028more\r\n\nTwo\x85\nThree".encode()
    found, _ = aligned(tmp_path, first, b"Eins\n\nZwei\nDrei\n")
    assert sides(found) == [("One\u2028more", "Eins"), ("Two\x85", "Zwei"), ("Three", "Drei")]


def test_a_side_may_be_empty(tmp_path: Path) -> None:
    """The pair is there for the filter to reject: it keeps the count of lines."""
    found, _ = aligned(tmp_path, b"One\nTwo\n", b"\nZwei\n")
    assert sides(found) == [("One", ""), ("Two", "Zwei")]


@given(st.integers(0, 8), st.integers(0, 8))
@settings(deadline=None, max_examples=30)
def test_unequal_files_give_nothing(
    tmp_path_factory: pytest.TempPathFactory, first: int, second: int
) -> None:
    """A line that is missing anywhere would shift all behind it: no pair at all, one reject."""
    texts = [b"".join(b"line %d\n" % i for i in range(n)) for n in (first, second)]
    found, _ = aligned(tmp_path_factory.mktemp("files"), *texts)
    if first == second:
        assert len(sides(found)) == first
    else:
        (only,) = found
        assert isinstance(only, Reject)
        assert (only.reason, only.value) == ("unequal_files", f"{first} and {second} lines")


@pytest.mark.parametrize("cut_side", [0, 1])
def test_a_file_cut_short_keeps_its_whole_lines(tmp_path: Path, cut_side: int) -> None:
    """They are aligned; the line at the cut, of which a part may be lost, is left out."""
    texts = [b"".join(b"%s %d %d\n" % (s, i, i * 7919) for i in range(3000)) for s in (b"a", b"b")]
    files = [gzip.compress(text) for text in texts]
    files[cut_side] = files[cut_side][: len(files[cut_side]) // 2]
    found, opener = aligned(tmp_path, *files)
    pairs = sides(found)
    assert 500 < len(pairs) < 2500
    assert len(pairs) == len(found)
    assert all(a.split()[1:] == b.split()[1:] for a, b in pairs)
    assert list(opener.damage.values()) == ["truncated"]


def test_a_short_whole_file_beside_a_cut_one_is_misaligned(tmp_path: Path) -> None:
    """The whole file ends before the cut: it lacks lines, and damage is no excuse."""
    text = b"".join(b"a %d %d\n" % (i, i * 7919) for i in range(3000))
    found, _ = aligned(tmp_path, gzip.compress(text)[:-2000], b"b 0 0\n")
    assert reasons(found) == ["unequal_files"]


def test_an_undecodable_line_keeps_its_place(tmp_path: Path) -> None:
    """It is rejected with its partner; the next lines are still aligned."""
    found, _ = aligned(tmp_path, b"One\nTwo\xff\nThree\n", b"Eins\nZwei\nDrei\n")
    assert reasons(found) == ["", "undecodable", ""]
    assert sides(found)[1] == ("Three", "Drei")


def test_files_with_a_hole_are_misaligned(tmp_path: Path) -> None:
    """A stream goes on behind a damaged member; its lines would stand beside the wrong ones."""
    members = [bz2.compress(b"".join(b"a %d\n" % i for i in range(s, s + 9))) for s in (0, 9, 18)]
    members[1] = members[1][:20] + bytes(len(members[1]) - 20)
    found, opener = aligned(tmp_path, b"".join(members), b"".join(b"b %d\n" % i for i in range(18)))
    assert "corrupt" in opener.damage.values()
    assert sides(found) == []
    assert reasons(found) in (["unequal_files"], ["corrupt_alignment"])
