"""Gettext catalogues to pairs of translations."""

from __future__ import annotations

import io
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.records import Reject
from curation.sources import parallel
from curation.sources.raw import RawPair

ENGLISH = "The house on the hill is very old"
GERMAN = "Das Haus auf dem Hügel ist sehr alt"
HEADER = 'msgid ""\nmsgstr ""\n"Language: de\\n"\n"Content-Type: text/plain; charset=UTF-8\\n"\n\n'


def entry(source: str = ENGLISH, target: str = GERMAN, before: str = "") -> str:
    return f'{before}msgid "{source}"\nmsgstr "{target}"\n'


def read(text: str | bytes, declared: str | None = "de") -> list[RawPair | Reject]:
    data = text.encode() if isinstance(text, str) else text
    return list(parallel.read_po(io.BytesIO(data), "po", declared))


def sides(found: list[RawPair | Reject]) -> list[tuple[str, str]]:
    """The English–German sides of each pair of pairs; fails on a reject."""
    pairs = [record for record in found if isinstance(record, RawPair)]
    assert len(pairs) == len(found)
    assert [(p.positive, p.query) for p in pairs[1::2]] == [
        (p.query, p.positive) for p in pairs[::2]
    ]
    return [(p.query, p.positive) for p in pairs[::2]]


def test_an_entry_gives_both_directions() -> None:
    """English to the language and back, named by the header."""
    assert read(HEADER + entry(), None) == [
        RawPair(ENGLISH, GERMAN, "parallel", "en", "de"),
        RawPair(GERMAN, ENGLISH, "parallel", "de", "en"),
    ]


def test_the_declared_language_wins() -> None:
    """The config's language stands above the header's."""
    assert [r.language for r in read(HEADER + entry(), "nds")] == ["nds", "en"]


@pytest.mark.parametrize(
    "header",
    ["", 'msgid ""\nmsgstr ""\n"Language: \\n"\n"MIME-Version: 1.0\\n"\n\n'],
    ids=["no header", "empty in the header"],
)
def test_an_unknown_language_is_a_reject(header: str) -> None:
    """An empty header field does not take the next one for a language."""
    found = read(header + entry(), None)
    assert [getattr(record, "reason", "") for record in found] == ["no_language"]


REJECTED = {
    "untranslated": entry(target=""),
    "fuzzy": entry(before="#: a.c:1\n#, c-format, fuzzy\n"),
    "plural": f'msgid "{ENGLISH}"\nmsgid_plural "{ENGLISH}s"\nmsgstr[0] "a"\nmsgstr[1] "b"\n',
    "placeholders": entry(source=ENGLISH + " %s"),
    "too_short": entry(source="Open the file", target="Datei öffnen"),
    "identical_sides": entry(target=ENGLISH),
    "undecodable": entry(target="Das Haus auf dem H\ufffdgel"),
}


@pytest.mark.parametrize("reason", REJECTED)
@pytest.mark.parametrize("gap", ["\n", ""], ids=["blank line", "no blank line"])
def test_an_unusable_entry_is_rejected_alone(reason: str, gap: str) -> None:
    """Its neighbours are pairs, its mark passes on to none of them."""
    found = read(gap.join([entry(), REJECTED[reason], entry("Another " + ENGLISH, GERMAN)]))
    assert [getattr(record, "reason", "") for record in found] == ["", "", reason, "", ""]
    assert isinstance(found[2], Reject)
    assert (found[2].source, found[2].language) == ("po", "de")


@pytest.mark.parametrize(
    "piece", ["%d", "%(name)s", "%-5.2f", "{name}", "{}", "<b>", "&amp;", "%%"]
)
@pytest.mark.parametrize("side", ["source", "target"])
def test_placeholders_on_either_side(piece: str, side: str) -> None:
    """Markup for programs is no language."""
    text = {"source": ENGLISH, "target": GERMAN}
    found = read(entry(**(text | {side: f"{text[side]} {piece}"})))
    assert [getattr(record, "reason", "") for record in found] == ["placeholders"]


@pytest.mark.parametrize("text", ["100 % Wolle", "a < b & c", "5 %"])
def test_signs_that_are_no_placeholders(text: str) -> None:
    """A percent sign or a comparison in prose stays."""
    assert sides(read(entry(target=text))) == [(ENGLISH, text)]


def test_an_invalid_byte_costs_its_entry() -> None:
    """A catalogue in Latin-1 gives no pairs with broken letters."""
    data = (entry() + "\n" + entry("Another " + ENGLISH, "Haus")).encode("latin1")
    found = read(data)
    assert [getattr(record, "reason", "") for record in found] == ["undecodable", "", ""]


ESCAPES = {
    "quote": (r"a \"b\" c", 'a "b" c'),
    "newline and tab": (r"a\nb\tc", "a\nb\tc"),
    "backslash": (r"C:\\new", r"C:\new"),
    "unknown": (r"a\$b\d", "a$bd"),
    "broken hexadecimal": (r"a\xzz", "axzz"),
    "unicode is none": (r"\N{DASH} \ud800", "N{DASH} ud800"),
}


@pytest.mark.parametrize(("written", "expected"), ESCAPES.values(), ids=ESCAPES)
def test_escapes_are_those_of_c(written: str, expected: str) -> None:
    """Known escapes resolve, unknown ones lose their backslash; none raises or warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parallel._unquote(f'"{written}"') == expected


@pytest.mark.parametrize(
    "text", ["", '"', "a", "'a'", '"a', '(("a"))', "[1]", "-" * 99_999 + "1", "(" * 99_999, "\0"]
)
def test_what_is_not_quoted_is_nothing(text: str) -> None:
    """No expression is evaluated, however deep."""
    assert parallel._unquote(text) == ""


def test_strings_continue_over_lines() -> None:
    """A long string is written in pieces."""
    text = 'msgid ""\n"The house on the "\n"hill is very old"\nmsgstr "Das "\n  "Haus"\n'
    assert sides(read(text)) == [(ENGLISH, "Das Haus")]


def test_a_context_belongs_to_the_entry_behind_it() -> None:
    """With or without a blank line, entries with a context are two."""
    second = 'msgctxt "menu"\n' + entry("Another " + ENGLISH, "Ein anderes")
    expected = [(ENGLISH, GERMAN), ("Another " + ENGLISH, "Ein anderes")]
    assert sides(read(entry() + second)) == expected
    assert sides(read(entry() + "\n" + second)) == expected


def test_obsolete_entries_and_comments_are_passed_over() -> None:
    """Lines behind a number sign hold nothing."""
    obsolete = "".join(f"#~ {line}\n" for line in entry("Old " + ENGLISH, "Alt").splitlines())
    previous = f'#| msgid "{ENGLISH}"\n'
    found = read(f"# A comment\n{previous}{entry()}\n{obsolete}")
    assert sides(found) == [(ENGLISH, GERMAN)]


def test_a_catalogue_cut_short_keeps_its_whole_entries() -> None:
    """An entry without translation is gone; those before it are pairs."""
    text = entry() + "\n" + entry("Another " + ENGLISH)
    assert sides(read(text[: text.rindex("msgstr")])) == [(ENGLISH, GERMAN)]


@pytest.mark.parametrize("text", ["", "\n\n", HEADER, "msgid", 'msgstr "a"', "# only"])
def test_nothing_to_pair(text: str) -> None:
    """Files without entries give nothing."""
    assert read(text) == []


LETTERS = st.text(st.characters(codec="utf-8", exclude_characters='%{}<>&\\"\ufffd'), min_size=1)


@given(LETTERS, LETTERS)
@settings(deadline=None, max_examples=100)
def test_any_strings_survive_the_catalogue(source: str, target: str) -> None:
    """What is quoted as gettext does it comes back as it was."""
    source = f"{ENGLISH} {source}"

    def quote(text: str) -> str:
        for plain, escape in (("\n", "\\n"), ("\r", "\\r")):
            text = text.replace(plain, escape)
        return text

    found = read(HEADER + entry(quote(source), quote(target)))
    assert sides(found) == [(source, target)]


@given(st.lists(st.sampled_from(
    ["msgid", "msgstr", "msgctxt", "msgid_plural", "msgstr[0]", ' "a"', '"b"', "\n", "#,", "fuzzy",
     "\\", '"', "\x00", "\xff", " "]
), max_size=30).map("".join))  # fmt: skip
@settings(deadline=None, max_examples=100)
def test_any_catalogue_leaves_the_entry_behind_it(text: str) -> None:
    """Broken lines never raise, and a whole entry behind a blank line is read."""
    pairs = [r for r in read(f"{text}\n\n{entry()}\n") if isinstance(r, RawPair)]
    assert all(pair.language in ("de", "en") for pair in pairs)
    if "msgid" not in text and "fuzzy" not in text:
        assert pairs[-2].positive == GERMAN
