"""Wikitext to plain text: what a reader sees stays, markup goes, nothing raises or hangs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.sources import wikinames, wikitext
from curation.sources.tidy import tidy
from curation.sources.wikitext import Block

EN = wikinames.site_for("en")


def blocks_of(text: str) -> list[Block]:
    """The blocks without the count of listed characters."""
    return [dataclasses.replace(block, listed=0) for block in wikitext.parse(text, EN)]


def plain(text: str, title: str = "Title", site: wikinames.Site = EN) -> str:
    """The lead's text; fails when there is more than a lead."""
    blocks = wikitext.parse(text, site, title)
    assert [block.heading for block in blocks] in ([], [""])
    return blocks[0].text if blocks else ""


LINKS = {
    "plain": ("a [[river]] b", "a river b"),
    "label": ("a [[river|stream]]s b", "a streams b"),
    "section": ("[[River#Source|its source]]", "its source"),
    "pipe trick": ("[[Mercury (planet)|]]", "Mercury"),
    "pipe trick with nested brackets": ("[[A (b (c))|]]", "A (b (c))"),
    "empty": ("a [[]] b", "a b"),
    "leading colon": ("[[:Category:Rivers|the category]]", "the category"),
    "leading colon without label": ("[[:Seine]]", "Seine"),
    "file": ("a [[File:x.jpg|thumb|100px|A caption]] b", "a b"),
    "file with links inside": ("a [[Image:x.jpg|thumb|The [[b|c]] of [[d]]]] e", "a e"),
    "file with a template inside": ("a [[File:x.jpg|{{nowrap|b]]}}]] e", "a e"),
    "category": ("a\n[[Category:Rivers|Seine]]", "a"),
    "namespace in any case": ("a [[cAtEgOrY : Rivers]] b", "a b"),
    "interlanguage": ("a [[fr:Seine]] [[zh-min-nan:X]] b", "a b"),
    "leading colon, other language": (
        "see [[:de:Kategorie:Fluss]], [[:en:Seine]]",
        "see Fluss, Seine",
    ),
    "leading colon and category": ("[[:Category:Rivers]]", "Rivers"),
    "half a link": ("the [Seine|river] runs", "the river runs"),
    "file never closed": ("[[File:x.jpg|thumb|a [[b]]\nText.", "Text."),
    "interlanguage with a label": ("[[fr:Seine|the Seine]]", "the Seine"),
    "other prefix": ("[[Star Trek: The Film]]", "Star Trek: The Film"),
    "external": ("a [https://x.org/a_b the site] b", "a the site b"),
    "external with a bare address": ("a [//x.org] b", "a b"),
    "external with brackets in its label": ("[http://x.org the [sic] site]", "the [sic site]"),
    "bare address": ("see https://x.org now", "see https://x.org now"),
    "no address": ("array[0] and [1]", "array[0] and [1]"),
}


@pytest.mark.parametrize(("text", "expected"), LINKS.values(), ids=LINKS)
def test_links(text: str, expected: str) -> None:
    """A link leaves its label; files, categories and other languages leave nothing."""
    assert plain(text) == expected


TEMPLATES = {
    "unknown": ("a {{citation needed|date=May 2020}} b", "a b"),
    "unknown over lines": (
        "{{Infobox river\n| name = Seine\n| length = {{convert|1|km}}\n}}\na",
        "a",
    ),
    "keeps the first argument": ("{{nowrap|a b}} c", "a b c"),
    "keeps the second argument": ("{{lang|fr|eau}}", "eau"),
    "has no second argument": ("a{{lang|fr}}b", "ab"),
    "of a language": ("{{lang-fr|eau}} {{langue-de|Wasser}}", "eau Wasser"),
    "of a language without text": ("a{{lang-fr}}b", "ab"),
    "numbered argument": ("{{lang|2=eau|1=fr}}", "eau"),
    "named arguments": ("{{lang|fr|eau|italic=no}}", "eau"),
    "value with an equals sign": ("{{nowrap|E <b>=</b> mc}}", "E = mc"),
    "number that is none": ("{{lang|²=x|①=y|fr|eau}}", "eau"),
    "number that is huge": ("{{nowrap|99999=x|b}}", "b"),
    "name in any case": ("{{NoWrap|a}}{{as_written|b}}", "ab"),
    "nested": ("{{nowrap|{{small|{{sup|a}}}} b}}", "a b"),
    "link inside": ("{{nowrap|the [[a|b]]}}", "the b"),
    "convert": ("{{convert|5|km|mi}}", "5 km"),
    "convert a range": ("{{convert|5|to|10|km|mi}}", "5–10 km"),
    "convert three": ("{{convert|2|x|3|x|4|m}}", "2 × 3 × 4 m"),
    "convert without unit": ("{{convert|5}}", "5"),
    "convert nothing": ("a{{convert}}b", "ab"),
    "form": ("{{circa|1800}}", "c. 1800"),
    "form with all pieces": ("{{nihongo|Tower|塔|tō}}", "Tower (塔, tō)"),
    "form with an empty piece": ("{{nihongo|Tower}}", "Tower"),
    "form without argument": ("1900{{snd}}1910", "1900 – 1910"),
    "parser function": ("{{formatnum:1234}} {{lc:ABC}}", "1234 ABC"),
    "page name": ("{{PAGENAME}} is a town", "Title is a town"),
    "named for a language": ("{{fr|eau}} and {{en}}", "eau and"),
    "text by name": ("{{quote|text=So he said.}}", "So he said."),
    "display text first": ("{{ill|Seine|fr|x|lt=the Seine}}", "the Seine"),
    "link to another wiki": ("{{нп|Сена|Сены|fr|Seine}} {{нп|Сена||fr}}", "Сены Сена"),
    "Japanese link": ("{{仮リンク|川|en|River}}、{{仮リンク|川|en|River|label=河}}", "川、河"),
    "Chinese forms": ("{{zh|c=李安|p=Lǐ Ān}} {{lang-zh|s=北京}}", "李安, Lǐ Ān 北京"),
    "sort name": ("{{sortname|Ada|Lovelace}}", "Ada Lovelace"),
    "list": ("{{bulleted list|a|b}}", "a\nb"),
    "name that is the text": ("au {{XXe siècle}}, le {{1er}} mai", "au XXe siècle, le 1er mai"),
    "name that is no text": ("a {{XX}}{{2020}} b", "a b"),
    "Bengali convert": ("{{রূপান্তর|306|km2|sqmi}}", "306 km2"),
    "argument without text": ("a ({{lang|fr|{{unknown}}}}) b", "a b"),
    "in a value of another": ("{{nowrap|a {{unknown|b}} c}}", "a c"),
    "table inside": ("{{Box|\n{| class=x\n| a\n|}\n}}b", "b"),
    "closed as |}}": ("{{Box\n|a=b\n|}}c", "c"),
}


@pytest.mark.parametrize(("text", "expected"), TEMPLATES.values(), ids=TEMPLATES)
def test_templates(text: str, expected: str) -> None:
    """A known inline template leaves what a reader sees of it, any other nothing."""
    assert plain(text) == expected


MARKUP = {
    "quotes": ("'''Seine''' is ''a'' '''''river'''''; don't", "Seine is a river; don't"),
    "lists": ("* a\n** b\n# c\n; d\n: e\n*#:f", "a\nb\nc\nd\ne\nf"),
    "table": ("a\n{| class=x\n|-\n! h\n| c || d\n|}\nb", "a\n\nb"),
    "indented table": ("a\n:{| class=x\n| c\n|}\nb", "a\n\nb"),
    "nested tables": ("a\n{|\n| b\n{|\n| c\n|}\n| d\n|}\ne", "a\n\ne"),
    "reference": ("a<ref name=x>b [[c]]</ref> d", "a d"),
    "reference without content": ("a<ref name=x/> b<ref name='y' /> c", "a b c"),
    "reference in capitals": ("a<REF>b</Ref > c", "a c"),
    "comment": ("a<!-- b {{ -- [[ -->c", "ac"),
    "raw tags": ("a<math>\\oint x</math><gallery>b</gallery><score>C</score>d", "ad"),
    "nowiki": ("a <nowiki>''b [[c]] {{d}}</nowiki> e", "a b c d e"),
    "html tags": ("a<span class='x'>b</span> <b>c</b>", "ab c"),
    "breaks": ("a<br/>b<br>c</p>d", "a\nb\nc\nd"),
    "less than": ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
    "entities": ("a&nbsp;b &amp; c &lt;i&gt; &#233;", "a b & c <i> é"),
    "entity of too many digits": ("a &#" + "1" * 5000 + "; b", "a \ufffd b"),
    "magic words": ("__NOTOC__a __TOC__", "a"),
    "variants": ("-{zh-hans:软件;zh-hant:軟體}- -{H|x}-", "软件 x"),
    "empty brackets": ("Paris ({{IPA|x}}) is (; ) a (( )) city", "Paris is a city"),
    "brackets of invisible characters": ("a (\u200c) b (\u200b{{x}}\u200e) c", "a b c"),
    "brackets after removal": ("Paris ({{IPA|x}}, a city; ) is", "Paris (a city) is"),
    "wide brackets": ("東京（{{x}}、都市）は（、）", "東京（都市）は"),
    "space before a mark": ("a {{x}}, b {{y}}. c", "a, b. c"),
    "four apostrophes": ("l''''antimonio''' è", "l'antimonio è"),
    "quotes emptied": ("called 「{{x}}」 and “{{x}}” or «{{x}}»", "called and or"),
    "quotes with text": ("called 「a」 and [...] or (…)", "called 「a」 and [...] or (…)"),
    "comma between holes": ("a, {{x}}, b {{y}}.", "a, b."),
    "dash before a hole": ("born 1900 – {{x}}\nlived", "born 1900\nlived"),
    "emptied items": ("a\n* {{x}}\n* {{y}}: \n* b", "a\n\nb"),
    "item behind a hole": ("* {{flag|}}: 47", "47"),
    "formula": ("the area <math>\\pi r^2</math> of", "the area π r^2 of"),
    "formula with structure": ("so <math>\\oint_C x</math>, as", "so, as"),
    "pasted reference numbers": ("He won.[1] She lost [12] it.", "He won. She lost it."),
    "array indices": ("set a[1] and b[2] here", "set a[1] and b[2] here"),
    "navigation": ("[[May 1]] | '''May 2''' | [[May 3]]\nText", "Text"),
    "residue of links": ("a\n[Category:Rivers]\nFile:x.jpg|thumb\nb", "a\n\nb"),
    "entities as text": ("a &amp;nbsp;b", "a b"),
    "local switches": ("__БЕЗ_ЗМІСТУ__a __init__", "a __init__"),
    "loose heading": ("== A\nb", "A\nb"),
    "rule": ("a\n----\nb", "a\n\nb"),
    "blank lines": ("a\n\n\n\n\nb", "a\n\nb"),
    "nothing": ("", ""),
    "markup only": ("{{Stub}}\n[[Category:A]]", ""),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), MARKUP.values(), ids=MARKUP)
def test_flat_markup(text: str, expected: str) -> None:
    """Quotes, lists, tags and tables go, and no stray punctuation stays behind."""
    assert plain(text) == expected


BROKEN = {
    "template never closed": ("a {{b c\n\nd", "a b c\n\nd"),
    "link never closed": ("a [[b|c d\n\ne", "a b|c d\n\ne"),
    "table never closed": ("a\n{| class=x\n| b\n| c\nd", "a\n\nd"),
    "reference never closed": ("a <ref>b [[c]] d", "a b c d"),
    "comment never closed": ("a <!-- b [[c]] d", "a b c d"),
    "only the last one is not closed": ("a<ref>x</ref> b <ref>c", "a b c"),
    "nothing was opened": ("a }} b ]] c\n|}\nd", "a b c\n\nd"),
    "wrong order": ("a {{nowrap|[[b}} c]] d", "a b c d"),
    "single braces": ("a { b } c", "a { b } c"),
}


@pytest.mark.parametrize(("text", "expected"), BROKEN.values(), ids=BROKEN)
def test_broken_markup_costs_itself_only(text: str, expected: str) -> None:
    """What surrounds an unclosed or misplaced mark stays text."""
    assert plain(text) == expected


def test_sections_carry_heading_level_and_text() -> None:
    """The lead comes first, then each section with text; an empty one is left out."""
    text = "Lead.\n== One ==\nA.\n=== Two '''b''' ===\nB.\n== Empty ==\n====== Six ======\nC."
    assert blocks_of(text) == [
        Block("", 0, "Lead."),
        Block("One", 2, "A."),
        Block("Two b", 3, "B."),
        Block("Six", 6, "C."),
    ]


def test_a_page_without_lead_begins_with_its_first_section() -> None:
    """There is no empty block."""
    assert wikitext.parse("== A ==\nText.", EN) == [Block("A", 2, "Text.")]


@pytest.mark.parametrize("line", ["== A", "A ==", "a == b == c", "=", "  == A =="])
def test_lines_that_are_no_headings(line: str) -> None:
    """A heading stands between equals signs from the line's beginning to its end."""
    assert [block.heading for block in wikitext.parse(f"x\n{line}\ny", EN)] == [""]


@pytest.mark.parametrize(
    "heading", ["References", "external LINKS", "Einzelnachweise", "脚注", "См. также"]
)
def test_apparatus_is_dropped_with_its_subsections(heading: str) -> None:
    """Text returns with the next heading of the same level."""
    text = f"Lead.\n== {heading} ==\nx\n=== Books ===\ny\n== History ==\nKept."
    assert blocks_of(text) == [Block("", 0, "Lead."), Block("History", 2, "Kept.")]


def test_an_apparatus_subsection_leaves_its_parent_and_siblings() -> None:
    """Only the section with that heading goes."""
    text = "== Life ==\nA.\n=== Notes ===\nx\n=== Death ===\nB."
    assert blocks_of(text) == [Block("Life", 2, "A."), Block("Death", 3, "B.")]


def test_a_language_names_its_namespaces() -> None:
    """German file links go on a German wiki only; a dump's own names go too."""
    text = "a [[Datei:x.jpg|mini|b]] c [[Plik:y.jpg|d]] e"
    assert plain(text, site=wikinames.site_for("de")) == "a c d e"
    assert plain(text, site=wikinames.site_for("und", frozenset({"PLIK"}))) == "a mini|b c e"


ATTACKS: dict[str, Callable[[int], str]] = {
    "templates": lambda n: "{{" * n,
    "templates closed": lambda n: "{{a|" * n + "}}" * n,
    "links": lambda n: "[[" * n,
    "links closed": lambda n: "[[a|" * n + "]]" * n,
    "tables": lambda n: "{|\n" * n,
    "closings": lambda n: "}}]]\n|}" * n,
    "references": lambda n: "<ref>" * n,
    "open references": lambda n: "<ref " * n,
    "comments": lambda n: "<!--" * n,
    "tags": lambda n: "<a " * n,
    "heading of spaces": lambda n: "=" + " " * n + "x",
    "heading of equals": lambda n: "= " * n + "x",
    "address": lambda n: "[http://" + "a" * n,
    "addresses": lambda n: "[//x " * n,
    "address of spaces": lambda n: "[//x" + " " * n,
    "spaces": lambda n: "a" + " " * n + "b",
    "no-break spaces": lambda n: "a" + "\u00a0" * n + "b",
    "newlines": lambda n: "a" + "\n" * n + "b",
    "commas": lambda n: "a" + "," * n + "b",
    "brackets": lambda n: "( ," * n,
    "pipe trick brackets": lambda n: "[[" + "(" * n + "|]]",
    "pipe trick spaces": lambda n: "[[a" + " " * n + "b|]]",
    "arguments": lambda n: "{{lang|" + "|" * n + "}}",
    "variants": lambda n: "-{a|" * n,
    "entities": lambda n: "&a" * n + "&#" + "1" * n,
    "quotes": lambda n: "'" * n,
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_cost_is_linear(attack: Callable[[int], str]) -> None:
    """Forty thousand repetitions take a moment; a quadratic scan would take minutes."""
    text = attack(40_000) + "\n\nthe end"
    start = time.process_time()
    blocks = wikitext.parse(text, EN)
    assert time.process_time() - start < 3
    assert blocks[-1].text.endswith("the end")


@pytest.mark.parametrize("depth", [1, wikitext.MAX_DEPTH - 1, wikitext.MAX_DEPTH, 5000])
def test_deep_nesting_is_closed_as_it_was_opened(depth: int) -> None:
    """Beyond the depth that is built, marks are counted: text behind them is text again."""
    text = "before " + "{{small|" * depth + "core" + "}}" * depth + " after [[a|link]]"
    core = "core" if depth < wikitext.MAX_DEPTH else "small"  # the innermost are one flat list
    assert plain(text) == f"before {core} after link"


PIECES = [
    "{{", "}}", "[[", "]]", "{|", "|}", "|", "=", "==", "\n", "\n*", "<ref>", "</ref>", "<!--",
    "-->", "''", "a", " b ", "(", ")", ",", "File:", "lang", "-{", "}-", "&#", "&lt;", "<nowiki>",
    "1=", "²=", "http://", "[", "]", "<br>", "é", "\u00a0", "\x00",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=40).map("".join))
@settings(deadline=None, max_examples=100)
def test_any_markup_gives_text_without_markup(text: str) -> None:
    """Nothing raises; no block is empty or keeps double brackets, braces or quotes."""
    for block in wikitext.parse(text, EN, "T"):
        assert block.text.strip()
        assert not any(mark in block.text for mark in ("{{", "[[", "''", "\n\n\n"))


WORDS = st.lists(st.from_regex(r"[a-zé漢]{1,8}", fullmatch=True), min_size=1, max_size=12)


@given(WORDS, WORDS)
@settings(deadline=None, max_examples=50)
def test_plain_prose_is_unchanged(lead: list[str], section: list[str]) -> None:
    """Text without markup comes through letter by letter."""
    first, second = " ".join(lead), " ".join(section)
    text = f"{first}.\n== {first} ==\n{second}"
    apparatus = first in wikinames.apparatus_headings()
    kept = [] if apparatus else [Block(first, 2, second)]
    assert blocks_of(text) == [Block("", 0, f"{first}."), *kept]


@given(st.text(alphabet="ab (),;[]\n\t.:、（）\u00a0", max_size=60))
@settings(deadline=None, max_examples=100)
def test_tidy_takes_out_no_letter(text: str) -> None:
    """Tidying removes brackets, punctuation and space only, and leaves no double space."""
    found = tidy(text)
    assert [c for c in found if c in "ab"] == [c for c in text if c in "ab"]
    assert "  " not in found
