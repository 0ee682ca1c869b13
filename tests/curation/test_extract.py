"""From a file of any kind to cleaned documents, pairs and rejects."""

from __future__ import annotations

import bz2
import gzip
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import extract, splitting, text
from curation.config import WARC_KINDS, CurationConfig, SourceConfig
from curation.errors import InputError
from curation.extract import Cleaner
from curation.records import DOCUMENT, Document, Pair, Reject, Section, text_key, to_table
from curation.sources.raw import RawDocument, RawPair, RawSection
from curation.splitting import Split, SplitReader
from tests.builders import (
    PARAGRAPH,
    conversion_record,
    dump_xml,
    news_html,
    page_xml,
    warc_record,
    write_dump,
    write_json_lines,
    write_warc,
)

BODY = PARAGRAPH * 3
RUSSIAN = "Маяк был построен в конце девятнадцатого века и до сих пор освещает вход в гавань. " * 4
COLUMNS = {"title": "title", "text": "text"}
WIKIPEDIA = SourceConfig(kind="wikipedia", path="x", language="en")


def split_of(path: Path, **source: Any) -> tuple[Split, SourceConfig]:
    return Split(0, str(path), path.stat().st_size), SourceConfig(path=str(path), **source)


def read(path: Path, **source: Any) -> list[Any]:
    return list(SplitReader(*split_of(path, **source)))


def write_wikipedia(folder: Path) -> Path:
    return write_dump(folder / "w.xml.bz2", [page_xml("A title", BODY, 1)])


def write_c4(folder: Path) -> Path:
    return write_json_lines(folder / "c4-en.tfrecord-0.json.gz", [{"text": f"A title\n{BODY}"}])


def write_news(folder: Path) -> Path:
    page = news_html("A title", f"{BODY}\n{BODY}")
    return write_warc(folder / "n.warc.gz", [warc_record("https://x.org", page)])


def write_table(folder: Path) -> Path:
    return write_json_lines(folder / "t.json.gz", [{"title": "A title", "text": BODY}])


def write_ccnet(folder: Path) -> Path:
    row = {"raw_content": BODY, "title": "A title", "url": "https://x.org"}
    return write_json_lines(folder / "en_head.json.gz", [row])


def write_wet(folder: Path) -> Path:
    record = conversion_record("https://x.org", f"A title\n{BODY}")
    return write_warc(folder / "n.warc.wet.gz", [record])


def write_csv(folder: Path) -> Path:
    path = folder / "t.csv"
    path.write_text(f'title,text\nA title,"{BODY}"\n')
    return path


def write_papers(folder: Path) -> Path:
    row = {"corpusid": 17, "title": "A title", "abstract": BODY}
    return write_json_lines(folder / "papers.jsonl.gz", [row])


def write_catalogue(folder: Path) -> Path:
    path = folder / "c.po"
    path.write_text(f'msgid "{PARAGRAPH}"\nmsgstr "A title"\n')
    return path


KINDS: dict[str, Any] = {
    "wikipedia": (write_wikipedia, {}, "wikipedia:en:1"),
    "c4": (write_c4, {}, "c4:"),
    "cc-news": (write_news, {"language": "en"}, "cc-news:"),
    "mc4": (write_c4, {}, "mc4:"),
    "ccnet": (write_ccnet, {"language": "en"}, "ccnet:"),
    "wet": (write_wet, {"language": "en"}, "wet:"),
    "csv": (write_csv, {"columns": COLUMNS, "language": "en"}, "csv:en:"),
    "s2orc": (write_papers, {"language": "en"}, "s2orc:17"),
    "json": (write_table, {"columns": COLUMNS, "language": "en"}, "json:en:"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_file_is_read_by_its_reader(kind: str, tmp_path: Path) -> None:
    """One document, with its language from the config, the dump or the file's name."""
    write, options, identity = KINDS[kind]
    (found,) = read(write(tmp_path), kind=kind, **options)
    assert (found.title, found.language) == ("A title", "en")
    assert found.id.startswith(identity)


def test_a_catalogue_gives_pairs(tmp_path: Path) -> None:
    """The kind po is read too, and named as the source is."""
    first, second = read(write_catalogue(tmp_path), kind="po", language="de", name="manuals")
    assert (first.query, first.positive) == (PARAGRAPH.strip() + " ", "A title")
    assert (second.query, second.query_language) == ("A title", "de")


@pytest.mark.parametrize("kind", [*KINDS, "po"])
@pytest.mark.parametrize("data", [b"", b"\n"], ids=["empty", "blank"])
def test_a_file_without_records_is_counted(kind: str, data: bytes, tmp_path: Path) -> None:
    """Every kind says so of an empty file: nothing vanishes in silence."""
    path = tmp_path / "empty.gz"
    path.write_bytes(gzip.compress(data) if kind not in WARC_KINDS else b"")
    options = KINDS[kind][1] if kind in KINDS else {}
    (found,) = read(path, kind=kind, **options)
    assert isinstance(found, Reject)
    assert found.reason == "no_records"
    assert found.source == kind


@pytest.mark.parametrize(
    ("damage", "reason", "behind"),
    [("cut", "truncated_file", []), ("noise", "corrupt_file", ["Page 2"])],
)
def test_a_damaged_file_keeps_what_lies_around(
    damage: str, reason: str, behind: list[str], tmp_path: Path
) -> None:
    """Whole members before and behind the damage are read, and a reject names the file and byte."""
    blocks = [bz2.compress(page_xml(f"Page {i}", BODY, i).encode()) for i in range(3)]
    offset = len(blocks[0]) + len(blocks[1])
    blocks[2] = blocks[2][:-20] if damage == "cut" else b"BZh9noise" + blocks[2]
    path = tmp_path / "d.xml.bz2"
    path.write_bytes(b"".join(blocks))
    *documents, last = read(path, kind="wikipedia", language="en")
    assert [d.title for d in documents] == ["Page 0", "Page 1", *behind]
    assert (last.id, last.reason) == (f"wikipedia:d.xml.bz2@{offset}", reason)


@pytest.mark.parametrize("kind", KINDS)
def test_the_share_goes_from_zero_to_one(kind: str, tmp_path: Path) -> None:
    """Progress is that of the file's own bytes."""
    write, options, _ = KINDS[kind]
    reader = SplitReader(*split_of(write(tmp_path), kind=kind, **options))
    assert reader.share == 0.0
    shares = [reader.share for _ in reader]
    assert all(0 < share <= 1 for share in shares)
    assert reader.share == 1.0


def test_a_reader_is_stopped_half_way(tmp_path: Path) -> None:
    """Leaving the loop closes the file: an open one would warn."""
    path = write_dump(tmp_path / "d.bz2", [page_xml(f"P{i}", BODY, i) for i in range(5)])
    records = iter(SplitReader(*split_of(path, kind="wikipedia")))
    assert next(records).id == "wikipedia:en:0"
    records.close()  # type: ignore[attr-defined]
    assert list(records) == []


def test_splits_are_the_files_of_all_sources_largest_first(tmp_path: Path) -> None:
    """A glob gives one split a file; the element's name tells source and path apart."""
    for name, size in (("a.xml", 10), ("b.xml", 30), ("c.json", 20)):
        (tmp_path / name).write_bytes(b"x" * size)
    sources = (
        SourceConfig(kind="wikipedia", path=f"{tmp_path}/*.xml"),
        SourceConfig(kind="c4", path=f"{tmp_path}/c.json"),
        SourceConfig(kind="c4", path=f"{tmp_path}/b.xml"),
    )
    found = splitting.list_splits(CurationConfig(sources=sources))
    named = [(s.source, Path(s.path).name, s.bytes) for s in found]
    assert named == [(0, "b.xml", 30), (2, "b.xml", 30), (1, "c.json", 20), (0, "a.xml", 10)]
    assert len({split.element for split in found}) == 4
    assert found[0].element == Split(0, found[0].path, 99).element


def test_a_source_without_files_is_an_error(tmp_path: Path) -> None:
    """A mistyped path is told before the run begins."""
    sources = (SourceConfig(kind="c4", path=f"{tmp_path}/*.gz"),)
    with pytest.raises(InputError, match="no file matches"):
        splitting.list_splits(CurationConfig(sources=sources))


@pytest.fixture(scope="module")
def cleaner() -> Cleaner:
    return Cleaner(CurationConfig(max_document_characters=200_000))


def raw(body: str = BODY, **fields: Any) -> RawDocument:
    values: dict[str, Any] = {
        "id": "w:1",
        "title": "A title",
        "sections": [RawSection("", 0, body)],
    }
    return RawDocument(**(values | fields))


def test_a_document_is_cleaned_identified_and_scored(cleaner: Cleaner) -> None:
    """The verdict, the scores and the digest of the text are on the record."""
    dirty = raw(f"  {BODY}\x00", title=" A\n title ", language="en")
    [found] = cleaner.clean_all([dirty], WIKIPEDIA)
    assert isinstance(found, Document)
    assert (found.title, found.text) == ("A title", BODY.strip())
    assert (found.language, found.declared_language, found.script) == ("en", "en", "Latin")
    assert (found.language_agreement, found.source) == (True, "wikipedia")
    assert found.quality["characters"] == len(found.text)
    assert found.text_hash == text_key(found.text)
    assert to_table([found], DOCUMENT).num_rows == 1


def test_too_long_a_document_is_a_reject(cleaner: Cleaner) -> None:
    """It costs no work, and keeps id, length and an excerpt."""
    found = cleaner.clean(raw("x" * 200_001, language="en"), WIKIPEDIA)
    assert isinstance(found, Reject)
    assert (found.id, found.stage, found.reason) == ("w:1", "extract", "document_too_long")
    assert (found.value, found.language, found.excerpt) == ("200001", "en", "x" * 200)


def test_what_thresholds_would_reject_is_scored_all_the_same(cleaner: Cleaner) -> None:
    """Extraction decides nothing: another threshold may want it."""
    [found] = cleaner.clean_all([raw("1 2 3 4", language="en")], WIKIPEDIA)
    assert isinstance(found, Document)
    assert found.quality["digit_share"] == 1.0


def test_each_raw_record_gives_one(cleaner: Cleaner) -> None:
    """Documents wait for their batch; nothing is lost or doubled, rejects do not wait."""
    reject = Reject("x", "extract", "malformed_json", "c4")
    raws = [raw(BODY, id=f"w:{i}", language="en") for i in range(400)]
    found = list(cleaner.clean_all([raws[0], reject, *raws[1:]], WIKIPEDIA))
    assert found[0] is reject
    documents = [record for record in found if isinstance(record, Document)]
    assert [d.id for d in documents] == [f"w:{i}" for i in range(400)]
    assert all(d.quality == documents[0].quality for d in documents)


def test_personal_data_are_masked_and_counted() -> None:
    """In titles, texts and both sides of pairs; the number of masks is a score."""
    cleaner = Cleaner(CurationConfig(mask_pii=True))
    page = raw(f"{BODY}Write to a.b@mail.example or call +49 30 901820.", title="Ask c@d.example")
    [found] = cleaner.clean_all([page], WIKIPEDIA)
    assert isinstance(found, Document)
    assert found.title == "Ask <email>"
    assert found.text.endswith("Write to <email> or call <phone>.")
    assert found.quality["masked"] == 3
    pair = cleaner.clean(parallel("Mail a@b.example", "Poste a@b.example", "en", "fr"), PO)
    assert isinstance(pair, Pair)
    assert (pair.query, pair.positive) == ("Mail <email>", "Poste <email>")
    assert cleaner.masked == {"email": 4, "phone": 1}


def test_nothing_is_masked_unasked(cleaner: Cleaner) -> None:
    """The option is off by default."""
    [found] = cleaner.clean_all([raw(f"{BODY} a.b@mail.example")], WIKIPEDIA)
    assert isinstance(found, Document)
    assert found.text.endswith("a.b@mail.example")
    assert found.quality["masked"] == 0


@pytest.mark.parametrize("language", [5, ["en"], "", "english text", "e", "en\n", None], ids=repr)
def test_what_is_no_language_code_declares_nothing(cleaner: Cleaner, language: Any) -> None:
    """A column may hold anything: the document is identified instead."""
    found = cleaner.clean(raw(language=language), WIKIPEDIA)
    assert isinstance(found, Document)
    assert (found.declared_language, found.language) == (None, "en")


@pytest.mark.parametrize("code", ["en", "zh_Hant", "be-x-old", "sr@latin", "ZH-tw"])
def test_language_codes_of_all_sources(code: str) -> None:
    """Wikipedia's, mC4's and gettext's codes are codes."""
    assert extract.language_code(code) == code


def test_rejects_pass_through_and_are_never_sampled(cleaner: Cleaner) -> None:
    """What a source rejected is counted whatever the sample."""
    reject = Reject("x", "extract", "malformed_json", "c4", "english text")
    source = SourceConfig(kind="c4", path="x", sample=0.0)
    assert cleaner.clean(reject, source) is reject
    assert reject.language == ""


def test_a_sample_is_drawn_by_id(cleaner: Cleaner) -> None:
    """The share is kept, and the same ids are drawn each time."""
    source = SourceConfig(kind="c4", path="x", sample=0.3)

    def kept() -> list[int]:
        drawn = [cleaner.clean(raw("x", id=f"w:{i}"), source) for i in range(200)]
        return [i for i, record in enumerate(drawn) if record is not None]

    assert kept() == kept()
    assert 45 <= len(kept()) <= 75


PO = SourceConfig(kind="po", path="x", name="manuals")


def parallel(query: str, positive: str, *languages: str | None) -> RawPair:
    return RawPair(query, positive, "parallel", *languages)


def test_a_pair_is_cleaned(cleaner: Cleaner) -> None:
    """Both sides are on one line; a missing language is undetermined."""
    found = cleaner.clean(parallel(" The\nhouse ", "Das\tHaus\x00", "en", None), PO)
    assert isinstance(found, Pair)
    assert (found.query, found.positive, found.relation) == ("The house", "Das Haus", "parallel")
    assert (found.query_language, found.language, found.source) == ("en", "und", "manuals")
    assert found.id == text_key("The house", "Das Haus").hex()


@pytest.mark.parametrize(
    ("query", "positive", "value"),
    [("Маяк", "house", "en in Cyrillic"), ("house", "house", "ru in Latin")],
)
def test_a_side_in_a_wrong_script_rejects_the_pair(
    cleaner: Cleaner, query: str, positive: str, value: str
) -> None:
    """An untranslated side is told by its script."""
    found = cleaner.clean(parallel(query, positive, "en", "ru"), PO)
    assert isinstance(found, Reject)
    assert (found.reason, found.value) == ("wrong_script", value)
    assert found.id == f"manuals:{query}"


def test_pairs_are_sampled_too(cleaner: Cleaner) -> None:
    """A share of zero keeps none."""
    source = SourceConfig(kind="po", path="x", sample=0.0)
    assert cleaner.clean(parallel("house", "Haus", "en", "de"), source) is None


def test_sections_lie_where_they_are_said_to() -> None:
    """Headings are lines of the text; a section is the range behind its heading."""
    sections = [
        RawSection("", 0, " Lead. "),
        RawSection("One\n", 2, ""),
        RawSection("Two", 3, "B."),
    ]
    found = extract.assemble(raw(sections=sections, abstract=" Lead. "), "wiki")
    assert found.text == "Lead.\nOne\nTwo\nB."
    assert found.sections == [Section("", 0, 0, 5), Section("Two", 3, 14, 16)]
    assert found.abstract == "Lead."


ANY = st.text(st.characters() | st.sampled_from("\u200b\u0301\ufeff\r\n \x00"), max_size=12)


@given(st.lists(st.tuples(ANY, ANY), max_size=5))
@settings(deadline=None, max_examples=100)
def test_ranges_hold_for_any_sections(parts: list[tuple[str, str]]) -> None:
    """Each range is its normalised body, and the whole text is normalised."""
    sections = [RawSection(heading, 2, body) for heading, body in parts]
    found = extract.assemble(raw(sections=sections), "wiki")
    bodies = [body for _, part in parts if (body := text.normalise(part))]
    assert [found.text[s.start : s.end] for s in found.sections] == bodies
    assert text.normalise(found.text) == found.text


@given(cuts=st.lists(st.integers(0, 12_000), max_size=3))
@settings(deadline=None, max_examples=25)
def test_any_members_give_the_same_records(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    """A dump cut anywhere into compressed members is the same dump."""
    data = dump_xml([page_xml(f"Page {i}", BODY, i) for i in range(15)]).encode()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    path = tmp_path_factory.getbasetemp() / "members.xml.bz2"
    path.write_bytes(b"".join(bz2.compress(data[a:b]) for a, b in itertools.pairwise(edges)))
    found = read(path, kind="wikipedia")
    assert [r.id for r in found] == [f"wikipedia:en:{i}" for i in range(15)]


def test_real_pages_become_documents(cleaner: Cleaner, real_data: Path) -> None:
    """Each of the single pages is one document in its declared language."""
    kept: dict[str, list[str]] = {}
    for path in sorted((real_data / "wikipedia" / "pages").glob("*wiki-test.xml")):
        code = path.name.partition("wiki")[0]
        records = read(path, kind="wikipedia", language=code)
        found = [cleaner.clean(record, WIKIPEDIA) for record in records]
        kept[code] = [r.language for r in found if isinstance(r, Document)]
    assert len(kept) == 12
    assert kept == {code: [code] for code in kept}


def test_a_utf_16_table_is_read(tmp_path: Path) -> None:
    """A file that a spreadsheet exported is JSON all the same."""
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"title": "Ä", "text": "ö"}, ensure_ascii=False), encoding="utf-16")
    assert [r.title for r in read(path, kind="json", columns=COLUMNS)] == ["Ä"]
