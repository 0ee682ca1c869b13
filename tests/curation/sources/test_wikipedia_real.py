"""What is left of markup in the documents of real dumps: nothing."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from benchmarks import scaling_input
from curation.extract import assemble
from curation.records import Document, Reject
from curation.sources import streams, wikinames, wikipedia
from curation.sources.raw import RawDocument

MOST = 10_000  # documents looked at
_PLAIN_MARKS = r"[\s,;:、،؛，；：–—\-=/·•]*"
RESIDUE = {
    "empty parentheses": re.compile(
        rf"\({_PLAIN_MARKS}\)|（{_PLAIN_MARKS}）|\[{_PLAIN_MARKS}\]|［{_PLAIN_MARKS}］"
    ),
    "dangling punctuation": re.compile(r"[(（][ ]*[,;:、،，；]|[,;،、，；][ ]*[)）]"),
    "braces": re.compile(r"\{\{|\}\}|\{\||\|\}"),
    "brackets": re.compile(r"\[\[|\]\]"),
    "thumb": re.compile(r"\|[ ]*(?:thumb|thumbnail|мини|міні|miniatur|upright|\d+px)\b", re.I),
    "pasted reference": re.compile(r"[.!?।。][ ]?\[\d{1,3}\]"),
    "ref tag": re.compile(r"</?ref|<references", re.I),
    "tag": re.compile(r"</?[a-zA-Z][a-zA-Z0-9]*(?:\s[^<>]*)?/?>"),
    "comment": re.compile(r"<!--"),
    "entity": re.compile(r"&(?:#\d+|#x[0-9a-fA-F]+|nbsp|amp|lt|gt|quot|ndash|mdash|thinsp);"),
    "table": re.compile(r"^\s*(?:\{\||\|\}|\|-|\|)|(?:row|col)span=|cellpadding|bgcolor=", re.M),
    "switch": re.compile(r"__(?:[A-ZÄ-ЯΑ-Ω]{3,})(?:_[A-ZÄ-ЯΑ-Ω]+)*__"),
    "apostrophes": re.compile(r"''"),
    "heading": re.compile(r"^={2,}|={2,}$", re.M),
    "list mark": re.compile(r"^[*#]+ ", re.M),
    "parser function": re.compile(r"\{?#(?:ifeq|ifexist|switch|expr|invoke):|DEFAULTSORT:"),
    "variant": re.compile(r"-\{|\}-"),
    "file": re.compile(r"\.(?:jpe?g|png|svg|gif|tiff?|ogg)[ ]*\|", re.I),
    "hole": re.compile("[\ue000-\ue002]"),
}


def category_line(language: str) -> re.Pattern[str]:
    """Lines that begin with the category namespace of a wiki, or the canonical one."""
    names = {"category", *wikinames.words("categories", language)}
    return re.compile(rf"^[\[ :]*(?:{'|'.join(map(re.escape, names))})[ ]?:", re.M | re.I)


def documents(paths: Iterable[Path]) -> Iterator[Document]:
    """The documents of dumps, as they leave the extraction."""
    for path in paths:
        code = path.name.partition("wiki")[0] if path.parent.name == "pages" else None
        with streams.open_stream(str(path)) as stream:
            for record in wikipedia.read_articles(stream, "wiki", code):
                if isinstance(record, RawDocument):
                    yield assemble(record, "wiki")
                else:
                    assert not isinstance(record, Reject) or record.reason


def residue(found: list[Document]) -> dict[str, tuple[int, str]]:
    """Documents with each kind of residue, and one example."""
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for document in found:
        own = {"category line": category_line(document.declared_language or "en")}
        for name, pattern in (RESIDUE | own).items():
            if match := pattern.search(document.text):
                counts[name] += 1
                around = document.text[max(0, match.start() - 40) : match.end() + 40]
                examples[name] = f"{document.id} {around!r}"
    return {name: (count, examples[name]) for name, count in counts.items()}


def test_the_checker_finds_residue() -> None:
    """Each pattern has something that it finds."""
    bad = {
        "empty parentheses": "a ( ; ) b", "dangling punctuation": "a (, b)", "braces": "{{a",
        "brackets": "a]]", "thumb": "x|thumb", "pasted reference": "a.[12]", "ref tag": "<ref>",
        "tag": "<br />", "comment": "<!--", "entity": "&nbsp;", "table": "| a", "heading": "== A",
        "switch": "__NOTOC__", "apostrophes": "''a", "list mark": "* a", "variant": "-{a",
        "parser function": "{{#switch:a", "file": "a.jpg|", "hole": "\ue000",
        "category line": "Категорія:Річки",
    }  # fmt: skip
    for name, text in bad.items():
        document = Document("w:1", "w", "t", f"x\n{text}", declared_language="uk")
        assert name in residue([document]), name
    clean = Document("w:1", "w", "t", "So […] he [sic] said (a, b).\nC[0] = x | y", "en")
    assert residue([clean]) == {}


def test_single_pages_and_a_small_wiki_leave_no_markup(real_data: Path) -> None:
    """The 28 pages in 18 languages, and the whole Latgalian Wikipedia."""
    folder = real_data / "wikipedia"
    paths = [*sorted(folder.glob("pages/*.xml")), *folder.glob("ltgwiki*")]
    found = list(documents(paths))
    assert len(found) > 800
    assert residue(found) == {}


@pytest.mark.slow
def test_ten_thousand_documents_leave_no_markup(real_data: Path, tmp_path: Path) -> None:
    """All dumps of the data folder, and copies of their pages with other words in the markup."""
    folder = real_data / "wikipedia"
    real = [*sorted(folder.glob("*.xml*")), *sorted(folder.glob("pages/*.xml"))]
    found = list(documents([*real, *perturbed_dumps(real_data, tmp_path)]))
    random.Random(0).shuffle(found)
    assert len(found) >= MOST
    # An exchanged word can be a template's name, so that a table it opened is no table any more.
    assert residue(found).keys() <= {"table"}


@pytest.mark.slow
def test_all_dumps_leave_no_markup(real_data: Path) -> None:
    """The documents of all dumps of the data folder."""
    folder = real_data / "wikipedia"
    found = list(documents([*sorted(folder.glob("*.xml*")), *sorted(folder.glob("pages/*.xml"))]))
    assert len(found) > 3_000
    assert residue(found) == {}


def perturbed_dumps(data: Path, target: Path, copies: int = 4) -> Iterator[Path]:
    """Write each dump again, every page so many times, a third of its words exchanged."""
    heads = scaling_input.dump_heads(data)
    for stream, pages in scaling_input.base_records(data).items():
        if stream in heads:
            path = target / f"{stream}.xml"
            texts = (scaling_input.copy_of(p, 1 + n).text for n in range(copies) for p in pages)
            path.write_text(f"{heads[stream]}{''.join(texts)}</mediawiki>", encoding="utf-8")
            yield path
