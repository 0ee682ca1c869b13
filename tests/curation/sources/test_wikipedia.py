"""Wikipedia dumps to articles, on whole, cut, hostile and real ones."""

from __future__ import annotations

import io
import random
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.records import Reject
from curation.sources import streams, wikipedia
from curation.sources.raw import RawDocument, RawRedirect, RawSection
from tests.builders import PARAGRAPH, dump_xml, page_xml, write_dump


def articles(
    data: str | bytes, declared: str | None = None
) -> tuple[list[RawDocument], list[Reject]]:
    stream = io.BytesIO(data.encode() if isinstance(data, str) else data)
    found = list(wikipedia.read_articles(stream, "wiki", declared))
    return (
        [record for record in found if isinstance(record, RawDocument)],
        [record for record in found if isinstance(record, Reject)],
    )


def titles(documents: list[RawDocument]) -> list[str]:
    return [document.title for document in documents]


def reasons(rejects: list[Reject]) -> list[tuple[str, str]]:
    return [(reject.id, reject.reason) for reject in rejects]


def pages(count: int) -> list[str]:
    return [page_xml(f"Page {i}", PARAGRAPH, i) for i in range(count)]


def test_an_article_has_all_that_the_dump_says(tmp_path: Path) -> None:
    """Title, sections, abstract, address, date and language come from the page and the head."""
    text = "'''Seine''' is a [[river]].\n== Course ==\nIt flows to the sea."
    path = write_dump(tmp_path / "d.xml.bz2", [page_xml("La Seine & co", text, 7)], "fr")
    (found,) = wikipedia.read_articles(streams.open_stream(str(path)), "wiki", None)
    lead = "Seine is a river."
    assert found == RawDocument(
        id="wiki:fr:7",
        title="La Seine & co",
        sections=[RawSection("", 0, lead), RawSection("Course", 2, "It flows to the sea.")],
        abstract=lead,
        url="https://fr.wikipedia.org/wiki/La_Seine_%26_co",
        date="2023-05-01",
        language="fr",
    )


def test_a_page_without_lead_has_no_abstract() -> None:
    """The first section is no introduction."""
    documents, _ = articles(dump_xml([page_xml("A", f"== B ==\n{PARAGRAPH}", 1)]))
    assert documents[0].abstract == ""


def test_the_declared_language_wins() -> None:
    """The config's language names the documents, their ids and the wiki's namespaces."""
    documents, _ = articles(dump_xml([page_xml("A", "a [[Datei:x|b]] c", 1)]), "de")
    assert (documents[0].language, documents[0].id) == ("de", "wiki:de:1")
    assert documents[0].sections[0].text == "a c"


def test_namespaces_of_the_head_are_used() -> None:
    """File and category names come from siteinfo, whatever the language."""
    data = dump_xml([page_xml("A", "a [[Berkas:x|b]] c", 1)], "xx").replace(">File<", ">Berkas<")
    assert articles(data)[0][0].sections[0].text == "a c"


def test_pages_without_a_head_are_read() -> None:
    """A single exported page has no siteinfo: language and host come from the config."""
    documents, rejects = articles(page_xml("A", PARAGRAPH, 1), "el")
    assert [d.url for d in documents] == ["https://el.wikipedia.org/wiki/A"]
    assert rejects == []
    assert articles(page_xml("A", PARAGRAPH, 1))[0][0].language == "und"


LEFT_OUT = {
    "talk page": page_xml("Talk:B", PARAGRAPH, 2, ns=1),
    "redirect element": page_xml("B", PARAGRAPH, 2).replace("<ns>", '<redirect title="A"/><ns>'),
    "redirect text": page_xml("B", "#REDIRECT [[A]]", 2),
    "redirect in another language": page_xml("B", " # weiterleitung: [[A]]", 2),
    "other model": page_xml("B", "{}", 2).replace("wikitext", "wikibase-item"),
}


def redirects(data: str) -> list[tuple[str, str]]:
    found = wikipedia.read_articles(io.BytesIO(data.encode()), "wiki", None)
    return [(r.title, r.target) for r in found if isinstance(r, RawRedirect)]


def test_redirects_name_their_target() -> None:
    """By the text, also where the export marks them; by the mark alone where the text is odd."""
    marked = page_xml("C", "#REDIRECT [[A_b]]", 3).replace("<ns>", '<redirect title="A b"/><ns>')
    odd = page_xml("D", "x", 4).replace("<ns>", '<redirect title="A b"/><ns>')
    pages = [*pages_of_two(), marked, odd]
    assert redirects(dump_xml(pages)) == [("B", "A b"), ("C", "A b"), ("D", "A b")]


def pages_of_two() -> list[str]:
    return [page_xml("A b", PARAGRAPH, 1), page_xml("B", "#redirect [[A b]]", 2)]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("A#History", "redirect_to_section"),
        ("Category:Rivers", "redirect_to_namespace"),
        ("Wikipedia:About", "redirect_to_namespace"),
    ],
)
def test_redirects_elsewhere_are_counted(target: str, reason: str) -> None:
    """A section has no title of its own, and other namespaces have no articles."""
    _, rejects = articles(dump_xml([*pages(1), page_xml("B", f"#REDIRECT [[{target}]]", 2)]))
    assert reasons(rejects) == [("wiki:en:2", reason)]
    assert rejects[0].value == f"B → {target}"


def test_lists_of_meanings_are_counted() -> None:
    """They are rejects with their reason, not documents."""
    text = f"{PARAGRAPH}\n* [[A]]\n{{{{disambiguation}}}}"
    documents, rejects = articles(dump_xml([*pages(1), page_xml("B", text, 2)]))
    assert titles(documents) == ["Page 0"]
    assert reasons(rejects) == [("wiki:en:2", "disambiguation_page")]


def test_without_a_namespace_the_title_tells() -> None:
    """Exports before 2012 have no <ns>: a talk page is known by its prefix."""
    bare = [page_xml(name, PARAGRAPH, 1).replace("<ns>0</ns>", "") for name in ("Talk:A", "A: b")]
    documents, rejects = articles("".join(bare), "en")
    assert titles(documents) == ["A: b"]
    assert rejects == []


def test_a_page_of_50_mb_costs_bounded_memory_and_itself_only() -> None:
    """With the real limits: the pages around it are read."""
    huge = page_xml("Huge", "word " * (10 << 20), 99)
    data = dump_xml([*pages(2), huge, *pages(2)]).encode()
    stream = io.BytesIO(data)
    tracemalloc.start()
    found = list(wikipedia.read_articles(stream, "wiki", None))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [r.title for r in found if isinstance(r, RawDocument)] == ["Page 0", "Page 1"] * 2
    assert [r.reason for r in found if isinstance(r, Reject)] == ["page_too_large"]
    assert peak < 3 * wikipedia.MAX_PAGE


def test_markup_nested_ten_thousand_deep_costs_itself_only() -> None:
    """Unclosed templates, links and tables in one page leave the next page whole."""
    text = "Lead. " + "{{a|[[b|" * 10_000 + "\n{|\n" * 10_000
    documents, rejects = articles(dump_xml([page_xml("Deep", text, 1), *pages(1)]))
    assert titles(documents) == ["Deep", "Page 0"]
    assert documents[0].sections[0].text.startswith("Lead.")
    assert rejects == []


@pytest.mark.parametrize("page", LEFT_OUT.values(), ids=LEFT_OUT)
def test_what_is_no_article_is_passed_over(page: str) -> None:
    """Talk pages, redirects and data are neither documents nor rejects."""
    documents, rejects = articles(dump_xml([*pages(1), page, page_xml("C", PARAGRAPH, 3)]))
    assert titles(documents) == ["Page 0", "C"]
    assert rejects == []


def test_missing_fields_have_defaults() -> None:
    """A page of an old dump has no namespace, id, date or model."""
    page = f"<page><title>A</title><revision><text>{PARAGRAPH}</text></revision></page>"
    documents, rejects = articles(page, "en")
    assert [(d.id, d.date) for d in documents] == [("wiki:en:A", "")]
    assert rejects == []


BROKEN = {
    "no title": ("<page><id>2</id><revision><text>abc</text></revision></page>", "2", "no_title"),
    "no text": ("<page><title>B</title><id>2</id></page>", "2", "no_text"),
    "markup only": (page_xml("B", "{{Stub}}", 2), "2", "no_text"),
    "unclosed element": ("<page><title>B</title><text>abc</page>", "B", "malformed_xml"),
    "bare ampersand": (page_xml("B", "x", 2).replace(">x<", "> & <"), "B", "malformed_xml"),
    "unknown entity": (page_xml("B", "x", 2).replace(">x<", ">&lol;<"), "B", "malformed_xml"),
    "cut short": ("<page><title>B</title><id>2</id><revision><te", "B", "truncated_page"),
    "without title, cut": ("<page><id>2</id><revision><te", "?", "truncated_page"),
    "without title, malformed": ("<page><id>2</id><b></page>", "?", "malformed_xml"),
}


@pytest.mark.parametrize(("page", "name", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_page_is_rejected_alone(page: str, name: str, reason: str) -> None:
    """The pages before and behind it are whole, and the reject names it."""
    documents, rejects = articles(dump_xml([*pages(2), page, page_xml("C", PARAGRAPH, 3)]))
    assert titles(documents) == ["Page 0", "Page 1", "C"]
    assert reasons(rejects) == [(f"wiki:en:{name}", reason)]


@pytest.mark.parametrize(
    ("bad", "kept"),
    [(b"\x00\x07\x1f", ["A", "B", "C"]), (b"\xff\xc3\x28", ["A", "C"])],
    ids=["control characters", "invalid utf-8"],
)
def test_invalid_bytes_cost_one_page_at_most(bad: bytes, kept: list[str]) -> None:
    """Control characters are dropped; a page that is no UTF-8 is rejected, the others are not."""
    middle = page_xml("B", "one MARK two", 2).encode().replace(b"MARK", bad)
    data = page_xml("A", PARAGRAPH, 1).encode() + middle + page_xml("C", PARAGRAPH, 3).encode()
    documents, rejects = articles(data, "en")
    assert titles(documents) == kept
    assert reasons(rejects) == [("wiki:en:B", "malformed_xml")][len(kept) - 2 :]


BOMB = (
    '<!DOCTYPE m [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY f SYSTEM "file:///etc/passwd">]>'
)


@pytest.mark.parametrize("entity", ["&b;", "&f;"])
@pytest.mark.parametrize("inside", [False, True], ids=["before the dump", "inside the page"])
def test_entities_of_a_document_type_do_not_expand(entity: str, inside: bool) -> None:
    """Neither a bomb nor a file gets into the text: the page is malformed."""
    page = page_xml("B", "x", 2).replace(">x<", f">{entity}<")
    page = page.replace("<page>", f"<page>{BOMB}") if inside else page
    data = dump_xml([page, page_xml("C", PARAGRAPH, 3)])
    documents, rejects = articles(data if inside else BOMB + data)
    assert titles(documents) == ["C"]
    assert reasons(rejects) == [("wiki:en:B", "malformed_xml")]


def test_numeric_and_predefined_entities_do_resolve() -> None:
    """Those XML itself knows are text."""
    page = page_xml("B", "x", 2).replace(">x<", ">a &lt;b&gt; &#233; &amp;amp; c<")
    assert articles(page, "en")[0][0].sections[0].text == "a é & c"


@given(cut=st.integers(0, 2500), chunk=st.integers(1, 400))
@settings(deadline=None, max_examples=60)
def test_a_cut_dump_loses_its_last_page_only(cut: int, chunk: int) -> None:
    """At any cut and chunk size, whole pages are articles and the rest is one reject."""
    data = dump_xml(pages(6))
    cut = min(cut, len(data))
    whole = data[:cut].count("</page>")
    unfinished = data[:cut].count("<page>") - whole
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wikipedia, "_CHUNK", chunk)
        documents, rejects = articles(data[:cut])
    assert titles(documents) == [f"Page {i}" for i in range(whole)]
    assert [reject.reason for reject in rejects] == ["truncated_page"] * unfinished


@pytest.mark.parametrize("behind", [0, 1, 2, 40], ids="{} pages behind".format)
def test_a_page_over_the_limit_is_counted_and_nothing_else_lost(
    monkeypatch: pytest.MonkeyPatch, behind: int
) -> None:
    """Pages behind a huge one are found, also those in the chunk in which it ends."""
    monkeypatch.setattr(wikipedia, "MAX_PAGE", 20_000)
    monkeypatch.setattr(wikipedia, "_CHUNK", 4_000)
    huge = page_xml("Huge", "x" * 50_000, 99)
    documents, rejects = articles(dump_xml([*pages(2), huge, *pages(behind)]))
    assert titles(documents) == [f"Page {i}" for i in (*range(2), *range(behind))]
    assert reasons(rejects) == [("wiki:en:Huge", "page_too_large")]


def test_a_file_without_pages_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten megabytes of something else are one reject and never held whole."""
    monkeypatch.setattr(wikipedia, "MAX_PAGE", 1 << 20)
    monkeypatch.setattr(wikipedia, "_CHUNK", 1 << 16)
    data = random.Random(0).randbytes(10 << 20).replace(b"<page>", b"")
    tracemalloc.start()
    documents, rejects = articles(data, "en")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert documents == []
    assert reasons(rejects) == [("wiki:en:?", "page_too_large")]
    assert peak < 6 << 20


@given(st.binary(max_size=400))
@settings(deadline=None, max_examples=60)
def test_any_bytes_between_pages_are_skipped(noise: bytes) -> None:
    """Whatever stands between two pages, both are read."""
    noise = noise.replace(b"<page>", b"")
    first, second = (page_xml(name, PARAGRAPH, 1).encode() for name in "AB")
    assert titles(articles(first + noise + second, "en")[0]) == ["A", "B"]


@pytest.mark.parametrize("data", ["", dump_xml([])], ids=["empty", "no pages"])
def test_no_pages_no_records(data: str) -> None:
    """An empty dump gives nothing, here not even a reject."""
    assert articles(data) == ([], [])


def test_a_real_dump_gives_its_articles(real_data: Path) -> None:
    """The beginning of the English excerpt: articles, lists of meanings, and where it is cut."""
    (path,) = (real_data / "wikipedia").glob("enwiki-*.bz2")
    with streams.open_stream(str(path)) as stream:
        documents, rejects = articles(stream.read(2_500_000))
    assert len(documents) == 34
    assert sorted(reason for _, reason in reasons(rejects)) == [
        *["disambiguation_page"] * 2,
        "list_page",
        "truncated_page",
    ]
    first = documents[0]
    assert (first.id, first.title, first.language) == ("wiki:en:12", "Anarchism", "en")
    assert first.abstract.startswith("Anarchism is a political philosophy that advocates")
    assert "References" not in [section.heading for section in first.sections]
    assert not any("{{" in s.text or "[[" in s.text for d in documents for s in d.sections)


def test_a_real_truncated_dump_names_its_language(real_data: Path) -> None:
    """The beginning of the Bengali dump: language and addresses come from its head."""
    with streams.open_stream(str(real_data / "wikipedia" / "bnwiki.xml.xz")) as stream:
        documents, rejects = articles(stream.read(4_000_000))
    assert len(documents) == 36
    assert [reject.reason for reject in rejects] == ["truncated_page"]
    assert {document.language for document in documents} == {"bn"}
    assert all(d.url.startswith("https://bn.wikipedia.org/wiki/") for d in documents)
