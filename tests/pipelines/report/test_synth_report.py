"""The report and the card of questions say what became of the samples, and escape what is data."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from curation.records import Reject, Sample
from curation.synthesis.responses import Response
from pipelines.report import question_card
from pipelines.report.synth import LanguageFacts, assemble
from pipelines.report.synth_page import page
from pipelines.synthesis.outcomes import Checked, Decided, Outcome
from tests.pipelines.report.builders import HOSTILE

CONFIG = {
    "documents": 1000,
    "documents_per_language": 0,
    "quotas": {"de/a_b": 5},
    "min_document_characters": 3000,
    "max_document_characters": 200_000,
    "questions_per_document": 2,
    "near_duplicates": {"enabled": True, "threshold": 0.85},
    "round_trip": {"top_k": 20},
    "judge": {"enabled": True, "min_score": 4},
}
USAGE = {
    "questions": Counter(requests=5, cached=2, input_tokens=40, output_tokens=8),
    "judge": Counter(requests=3, input_tokens=70, output_tokens=9),
}


def outcome(number: int, reason: str, rank: int | None, position: float = 0.0) -> Outcome:
    key = f"{number:032x}"
    sample = Sample(
        key,
        f"d:{number}",
        "",
        "de",
        "web",
        f"Absatz {HOSTILE}",
        0,
        0,
        position,
        "",
        "",
        "",
        [],
        "v",
    )
    answer = None if reason == "no_answer" else Response(key, "", "stop", "m", 10, 2)
    return Outcome(sample, answer, Checked("", "", f"Frage {number}?"), Decided(reason, "", rank))


def facts_of(outcomes: list[Outcome]) -> LanguageFacts:
    facts = LanguageFacts()
    for item in outcomes:
        facts.add(item, is_new=True)
    return facts


OUTCOMES = [
    outcome(1, "", 1),
    outcome(2, "", 5, 0.31),
    outcome(3, "not_retrieved", 40, 1.0),
    outcome(4, "copied", 1, 0.99),
    outcome(5, "no_answer", None),
]


def report_of(outcomes: list[Outcome]) -> dict[str, Any]:
    return assemble("run", "f00d", {"de": facts_of(outcomes)}, USAGE)


def test_shares_of_ranks_before_and_after() -> None:
    """Before: all that were ranked; after: what is kept."""
    found = report_of(OUTCOMES)["round_trip"]
    assert found["before"] == {"questions": 4, "rank_1": 0.5, "rank_5": 0.75}
    assert found["after"] == {"questions": 2, "rank_1": 0.5, "rank_5": 1.0}
    nothing = report_of([])["round_trip"]["after"]
    assert nothing == {"questions": 0, "rank_1": None, "rank_5": None}


def test_totals_add_up() -> None:
    """Tokens of answers and of the judge; what is unanswered; positions in tenths."""
    report = report_of(OUTCOMES)
    assert report["totals"] == {
        "asked": 5,
        "kept": 2,
        "rejects": 3,
        "unanswered": 1,
        "input_tokens": 40 + 70,
        "output_tokens": 8 + 9,
        "usd": None,
    }
    [language] = report["languages"]
    assert language["positions"] == [2, 0, 0, 1, 0, 0, 0, 0, 0, 2]
    assert language["reasons"] == {"copied": 1, "no_answer": 1, "not_retrieved": 1}


def test_a_document_without_a_sample_is_no_answer() -> None:
    """It counts among the rejects and not among what was asked."""
    facts = LanguageFacts()
    facts.add_undrawn(Reject("d", "synth", "no_paragraph", "web", "de"))
    report = assemble("run", "f00d", {"de": facts}, USAGE)
    assert (report["totals"]["asked"], report["totals"]["rejects"]) == (0, 1)


def test_samples_do_not_depend_on_the_order() -> None:
    """The same four of a kind are shown, however the parts come."""
    many = [outcome(i, "copied" if i % 2 else "", i) for i in range(40)]
    expected = report_of(many)["samples"]
    random.Random(0).shuffle(many)
    assert report_of(many)["samples"] == expected
    assert len(expected["de"]["kept"]) == len(expected["de"]["rejected"]) == 4


def test_the_page_holds_the_facts_and_no_markup_of_data() -> None:
    """Every count of the report is on the page; what a model or document says is text."""
    report = report_of(OUTCOMES) | {"prompts": {"v": f"Ask {HOSTILE}"}}
    found = page(report)
    for shown in ("not retrieved", "copied", "75.0%", "Frage 1?", "the judge", "rank 40"):
        assert shown in found
    assert "<script" not in found
    assert "<img" not in found
    assert 'lang="de"' in found
    priced = report | {"totals": report["totals"] | {"usd": 1.234}}
    assert "$1.23" in page(priced)


def card_report(**changes: Any) -> dict[str, Any]:
    report = report_of(OUTCOMES)
    report["totals"]["documents"] = 5
    return report | {"models": {"m_1": 4}, "prompts": {"v-1": "Ask"}, "config": CONFIG} | changes


def test_the_card_tells_how_questions_were_made() -> None:
    """Model, counts, sampling, checks and prompts."""
    text = question_card.section(card_report())
    for said in (
        "5 answers of m\\_1",
        "2 were kept (40.0%)",
        "| de | 5 | 2 | 40.0% |",
        "| not\\_retrieved | 1 |",
        "1,000 in all, shared out over the languages",
        "quotas de/a\\_b: 5",
        "up to 2 paragraphs of each",
        "50.0% of all answers",
        "ranks 1 to 20 are kept",
        "those below 4 are rejects",
        "Tokens: 110 in, 17 out, by",
        "`v-1`\n\n```text\nAsk\n```",
    ):
        assert said in text, said


@pytest.mark.parametrize("text", ["```", "a ````` b", "plain"])
def test_a_prompt_cannot_end_its_block(text: str) -> None:
    """The fence is longer than any in the text."""
    first, *_, last = question_card.fenced(text).splitlines()
    assert last == first.removesuffix("text")
    assert last not in text
