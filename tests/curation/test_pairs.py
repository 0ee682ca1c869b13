"""Pairs of a document, and the reason for each that is not taken."""

import dataclasses
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import ConfigError
from curation.pairs import PairConfig, document_pairs
from curation.records import Document, Pair, Reject, Section
from tests.builders import PARAGRAPH

LEAD = PARAGRAPH.strip()
VALID = "valid: citation, section, title-abstract, title-body"


def document(**changes: object) -> Document:
    """Return a document with an abstract and two sections."""
    history = "In 1400 a bridge was built here. " * 5
    text = f"{LEAD}\nHistory\n{history}"
    start = len(LEAD) + 1 + len("History") + 1
    sections = [Section("", 0, 0, len(LEAD)), Section("History", 2, start, len(text))]
    made = Document("wiki:en:1", "wiki", "River Ember", text, language="en", script="Latin")
    made.abstract, made.sections = LEAD, sections
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def pairs_of(made: Document, **options: object) -> list[Pair | Reject]:
    """Return what a document gives."""
    return list(document_pairs(made, PairConfig(**options)))  # type: ignore[arg-type]


def test_all_relations_of_a_document() -> None:
    """Title-body, title-abstract and one pair per section with a heading, exactly."""
    made = document()
    got = pairs_of(made)
    section = made.sections[1]
    assert [(p.relation, p.query, p.positive) for p in got if isinstance(p, Pair)] == [
        ("title-body", "River Ember", made.text),
        ("title-abstract", "River Ember", made.abstract),
        ("section", "River Ember: History", made.text[section.start : section.end]),
    ]
    assert len(got) == 3
    for pair in got:
        assert isinstance(pair, Pair)
        origin = (pair.source, pair.document_id, pair.language, pair.query_language)
        assert origin == ("wiki", "wiki:en:1", "en", "en")
        assert pair.query_document_id == ""


@pytest.mark.parametrize("relation", ["title-body", "title-abstract", "section"])
def test_only_wanted_relations(relation: str) -> None:
    """One relation asked for gives that one alone."""
    (pair,) = pairs_of(document(), relations=(relation,))
    assert isinstance(pair, Pair)
    assert pair.relation == relation


def test_an_absent_abstract_gives_no_pair() -> None:
    """It is passed over without a reject."""
    assert pairs_of(document(abstract=""), relations=("title-abstract",)) == []


@pytest.mark.parametrize(
    ("relations", "expected"),
    [
        (("title-body", "title-abstract"), "title-abstract"),
        (("title-abstract",), "title-abstract"),
        (("title-body",), "title-body"),
    ],
)
def test_an_abstract_that_is_the_whole_text_is_one_pair(
    relations: tuple[str, ...], expected: str
) -> None:
    """Of papers only the abstract is known: their pair is title-abstract where that is wanted."""
    (pair,) = pairs_of(document(abstract=document().text), relations=relations)
    assert isinstance(pair, Pair)
    assert (pair.relation, pair.positive) == (expected, document().text)


@pytest.mark.parametrize(
    ("changes", "reason", "excerpt"),
    [
        ({"title": ""}, "no_title", ""),
        ({"title": "long " * 70}, "title_too_long", ("long " * 70)[:200]),
        ({"text": "Too short."}, "positive_too_short", "River Ember"),
        ({"title": LEAD, "text": LEAD.upper()}, "title_is_text", LEAD),
    ],
    ids=["no-title", "long-title", "short-text", "title-is-text"],
)
def test_rejects_say_why(changes: dict[str, str], reason: str, excerpt: str) -> None:
    """A pair that is not taken leaves its reason, its document and its query."""
    (reject,) = pairs_of(document(**changes), relations=("title-body",))
    wanted = Reject("wiki:en:1#title-body", "pairs", reason, "wiki", "en", excerpt)
    assert reject == wanted


TITLE = "A harbour gets its light"
REPEATED = {
    "equal": (TITLE, True),
    "other case and marks": ("A HARBOUR gets its light!", True),
    "with a date": ("A harbour gets its light (2024)", True),
    "a sentence about it": (f"{TITLE}, the council said on Monday after a long debate.", False),
    "part of a word": ("A harbour gets its lights", False),
    "something else": ("By our reporter", False),
}


@pytest.mark.parametrize(("line", "gone"), REPEATED.values(), ids=REPEATED)
def test_a_title_is_no_part_of_its_answer(line: str, gone: bool) -> None:
    """A first line that repeats the title goes; a sentence that holds it stays."""
    text = f"{line}\n\n{LEAD}"
    made = document(title=TITLE, text=text, abstract=text)
    for relation in ("title-body", "title-abstract"):
        (pair,) = pairs_of(dataclasses.replace(made, text=text + " x"), relations=(relation,))
        assert isinstance(pair, Pair)
        assert pair.positive.startswith(LEAD if gone else text)


def test_text_that_is_its_title_gives_no_pair() -> None:
    """Where nothing is left, the reason says so."""
    (reject,) = pairs_of(document(title=TITLE, text=f"{TITLE}."), relations=("title-body",))
    assert isinstance(reject, Reject)
    assert reject.reason == "title_is_text"


def test_a_generic_title_gives_no_pair_at_all() -> None:
    """Sections too are asked for by their title; other reasons come first."""
    made = document()
    found = list(document_pairs(made, PairConfig(), has_generic_title=True))
    assert [r.reason for r in found if isinstance(r, Reject)] == ["generic_title"] * 3
    assert len(found) == 3
    short = document_pairs(document(text="Too short."), PairConfig(), has_generic_title=True)
    assert "positive_too_short" in [r.reason for r in short if isinstance(r, Reject)]


@pytest.mark.parametrize(
    ("script", "length", "taken"),
    [("Latin", 99, False), ("Latin", 100, True), ("Han", 32, False), ("Han", 33, True)],
)
def test_least_length_is_a_third_in_unspaced_scripts(script: str, length: int, taken: bool) -> None:
    """The bound is exact on both sides, for both kinds of script."""
    (got,) = pairs_of(document(text="字" * length, script=script), relations=("title-body",))
    assert isinstance(got, Pair) is taken


def test_longest_title_is_taken() -> None:
    """A title of exactly the bound is a title."""
    (pair,) = pairs_of(document(title="t" * 300), relations=("title-body",))
    assert isinstance(pair, Pair)


@given(limit=st.integers(100, 400))
@settings(deadline=None, max_examples=30)
def test_positive_is_cut_at_the_limit(limit: int) -> None:
    """A long positive is cut, never rejected, and the id is that of the text that is kept."""
    made = document()
    (pair,) = pairs_of(made, relations=("title-body",), max_positive_characters=limit)
    assert isinstance(pair, Pair)
    assert pair.positive == made.text[:limit]
    assert pair.id == Pair(pair.query, pair.positive, "", "", "", "").id


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"relations": ("title-boby",)},
            f"unknown curation.pairs.relations 'title-boby': did you mean 'title-body'? {VALID}",
        ),
        (
            {"min_positive_characters": 0},
            "curation.pairs.min_positive_characters = 0 is outside 1 .. 1e+06",
        ),
        (
            {"max_positive_characters": 0},
            "curation.pairs.max_positive_characters = 0 is outside 1 .. 1e+08",
        ),
        (
            {"max_query_characters": 200_000},
            "curation.pairs.max_query_characters = 200000 is outside 1 .. 100000",
        ),
        ({"max_citations": 0}, "curation.pairs.max_citations = 0 is outside 1 .. 1e+06"),
    ],
    ids=["relation", "least", "most", "query", "citations"],
)
def test_mistakes_are_refused(options: dict[str, object], message: str) -> None:
    """A relation that documents do not have, or a bound without sense, is refused."""
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        PairConfig(**options)  # type: ignore[arg-type]
