"""Translation memories to translations."""

from __future__ import annotations

import io
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.records import Reject
from curation.sources import tmx
from curation.sources.bitext import Bitext
from curation.sources.raw import RawTranslation

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n'
    '<tmx version="1.4"><header srclang="{0}" datatype="plaintext"/><body>\n'
)
TAIL = "</body></tmx>\n"


def unit(**texts: str) -> str:
    variants = "".join(
        f'<tuv xml:lang="{code}"><seg>{text}</seg></tuv>' for code, text in texts.items()
    )
    return f"<tu tuid='1'>{variants}</tu>\n"


def read(
    units: str, languages: tuple[str | None, str | None] = (None, None), source: str = "en"
) -> list[RawTranslation | Reject]:
    return read_bytes((HEAD.format(source) + units + TAIL).encode(), languages)


def read_bytes(
    data: bytes, languages: tuple[str | None, str | None] = (None, None)
) -> list[RawTranslation | Reject]:
    return list(tmx.read_units(io.BytesIO(data), Bitext("tm", *languages)))


def sides(found: list[RawTranslation | Reject]) -> list[tuple[str | None, ...]]:
    return [
        (r.language, r.translation_language, r.text, r.translation)
        for r in found
        if isinstance(r, RawTranslation)
    ]


def reasons(found: list[RawTranslation | Reject]) -> list[str]:
    return [record.reason if isinstance(record, Reject) else "" for record in found]


HOUSE = unit(en="The house", de="Das Haus")


def test_a_unit_is_a_translation() -> None:
    """Languages as the unit states them, in canonical form; the header's source comes first."""
    expected = [("en", "de", "The house", "Das Haus")]
    assert sides(read(HOUSE)) == expected
    assert (
        sides(read(unit(**{"DE-DE": "Das Haus", "en-US": "The house"}), source="EN-us")) == expected
    )


def test_several_languages_pair_with_the_source() -> None:
    """Each other language once; a language that is named leaves the others out."""
    units = unit(fr="La maison", en="The house", de="Das Haus")
    assert [s[:2] for s in sides(read(units))] == [("en", "fr"), ("en", "de")]
    assert [s[:2] for s in sides(read(units, source="*all*"))] == [("fr", "en"), ("fr", "de")]
    assert [s[:2] for s in sides(read(units, ("de", "fr")))] == [("de", "fr")]


@pytest.mark.parametrize(
    "languages", [("de", "sw"), ("sw", "de"), (None, "sw")], ids=["target", "source", "any source"]
)
def test_a_unit_without_the_language_is_rejected(languages: tuple[str | None, str]) -> None:
    """It is counted with the languages that it has."""
    (found,) = read(HOUSE, languages)
    assert isinstance(found, Reject)
    assert (found.reason, found.value) == ("missing_language", "en de")


def test_inline_markup_goes_and_its_text_stays() -> None:
    """Codes of the original format are no text, highlighted words are."""
    marked = (
        'The <bpt i="1">&lt;b&gt;</bpt>big<ept i="1">&lt;/b&gt;</ept> <hi>old</hi>'
        "<ph>&lt;br/&gt;</ph> house &amp; barn"
    )
    assert sides(read(unit(en=marked, de="Haus")))[0][2] == "The big old house & barn"


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE tmx [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY a{i} "{f"&a{i - 1 if i else chr(32).strip()};" * 10}">' for i in range(9))
    + '<!ENTITY file SYSTEM "file:///etc/passwd">]><tmx><body>\n'
)


@pytest.mark.parametrize("entity", ["&a8;", "&file;", "&a;"])
def test_no_entity_is_expanded(entity: str) -> None:
    """A unit that uses one of the file's own entities is rejected; the others are read."""
    tracemalloc.start()
    found = read_bytes((BOMB + HOUSE + unit(en=entity, de="x") + HOUSE + TAIL).encode())
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
    assert reasons(found) == ["", "malformed_xml", ""]


DAMAGED = {
    "malformed_xml": "<tu><tuv xml:lang='en'><seg>a</tuv></tu>",
    "truncated_unit": "<tu><tuv xml:lang='en'><seg>a",
    "missing_language": unit(en="only one"),
    "undecodable": unit(en="The \ufffd", de="Das"),
}


@pytest.mark.parametrize("reason", DAMAGED)
def test_a_damaged_unit_costs_itself(reason: str) -> None:
    """Its neighbours are translations."""
    found = read(HOUSE + DAMAGED[reason] + "\n" + HOUSE)
    assert reasons(found) == ["", reason, ""]


def test_a_file_cut_short_keeps_its_whole_units() -> None:
    """What the cut took is one reject."""
    data = (HEAD.format("en") + HOUSE * 3).encode()[:-20]
    assert reasons(read_bytes(data)) == ["", "", "truncated_unit"]


def test_deep_nesting_is_rejected() -> None:
    """Ten thousand levels cost the unit, not the run."""
    found = read(unit(en="<hi>" * 10_000 + "</hi>" * 10_000, de="x") + HOUSE)
    assert reasons(found) == ["malformed_xml", ""]


@pytest.mark.parametrize("where", ["unit", "head"])
def test_endless_text_is_bounded(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit that does not end is one reject, and what follows it is read."""
    monkeypatch.setattr(tmx, "MAX_UNIT", 1 << 20)
    endless = "x" * (8 << 20)
    units = unit(en=endless, de="y") if where == "unit" else endless
    data = (HEAD.format("en") + units + HOUSE + TAIL).encode()
    tracemalloc.start()
    found = read_bytes(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reasons(found) == (["unit_too_large", ""] if where == "unit" else [""])
    assert peak < 8 << 20


@pytest.mark.parametrize("encoding", ["iso-8859-1", "windows-1252", "utf-8", "no-such-charset"])
def test_the_declared_encoding_counts(encoding: str) -> None:
    """An unknown one is read as UTF-8."""
    text = (HEAD.format("en") + unit(en="The house", de="Die Tür") + TAIL).replace(
        "UTF-8", encoding
    )
    data = text.encode("utf-8" if encoding == "no-such-charset" else encoding)
    assert sides(read_bytes(data)) == [("en", "de", "The house", "Die Tür")]


@given(
    st.lists(st.sampled_from([HOUSE, "<tu>", "</tu>", "<tuv", "<seg>", "x", "\0", "&a;", "<tu "]))
)
@settings(deadline=None, max_examples=60)
def test_any_damage_leaves_the_unit_behind_it(pieces: list[str]) -> None:
    """Nothing raises, and a whole unit at the end is read."""
    found = read("".join(pieces) + "\n" + HOUSE)
    assert sides(found)[-1] == ("en", "de", "The house", "Das Haus")


@given(st.integers(1, 400))
@settings(deadline=None, max_examples=40)
def test_pieces_do_not_matter(size: int) -> None:
    """Wherever the stream is cut into chunks, the units are the same."""
    data = (HEAD.format("en") + HOUSE * 3 + unit(en="Ü", de="ö") + TAIL).encode()
    before = tmx._CHUNK
    tmx._CHUNK = size
    try:
        found = read_bytes(data)
    finally:
        tmx._CHUNK = before
    assert sides(found) == [("en", "de", "The house", "Das Haus")] * 3 + [("en", "de", "Ü", "ö")]
