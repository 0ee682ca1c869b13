"""Checks of answers: each reason has its case, and a good question passes them all."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.language import LanguageDetector
from curation.synthesis import checks
from curation.synthesis.checks import Answer
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.prompts import Language, language_for

PARAGRAPH = "The harbour company built the lighthouse of Dunwick in 1834, and its lamp still burns."
GOOD = "Which company was responsible for the lighthouse at Dunwick?"


@pytest.fixture(scope="module")
def detector() -> LanguageDetector:
    """The language engines, loaded once."""
    return LanguageDetector()


def words_of(code: str) -> Language:
    """Return the phrases of a language."""
    words = language_for(code)
    assert words
    return words


@pytest.mark.parametrize(
    ("content", "question"),
    [
        ("  Who built it?\n", "Who built it?"),
        ("1. Who built it?", "Who built it?"),
        ("12) Who built it?", "Who built it?"),
        ("Question 1: Who built it?", "Who built it?"),
        ("q: Who built it?", "Who built it?"),
        ("**Who built it?**", "Who built it?"),
        ("« Qui l'a construit ? »", "Qui l'a construit ?"),
        ("Who\nbuilt \u200bit?", "Who built it?"),
        ("Who built it", "Who built it"),
        ("3.5 litres fill which bottle?", "3.5 litres fill which bottle?"),
        ("10:30 is the time of which train?", "10:30 is the time of which train?"),
        ("1834 was the year of what?", "1834 was the year of what?"),
        ("Quality: what is it?", "Quality: what is it?"),
        ("", ""),
        ("\"' \n", ""),
    ],
)
def test_question_of_an_instructed_answer(content: str, question: str) -> None:
    """Labels, quotes and line breaks go; numbers that belong to the question stay."""
    assert checks.question_of(Answer(content, "stop"), "", "") == question


@pytest.mark.parametrize(
    ("opener", "content", "reason", "mark", "question"),
    [
        ("Who", " built the lighthouse", "stop", "?", "Who built the lighthouse?"),
        ("Who", " built it?", "stop", "?", "Who built it?"),
        ("Who", " built the", "length", "?", "Who built the"),
        ("¿Quién", " construyó el faro", "stop", "?", "¿Quién construyó el faro?"),
        ("من", " بنى المنارة", "stop", "؟", "من بنى المنارة؟"),
        ("من", " بنى المنارة؟", "stop", "؟", "من بنى المنارة؟"),
    ],
    ids=["stopped", "has-mark", "truncated", "spanish", "arabic", "arabic-mark"],
)
def test_question_of_a_base_model(
    opener: str, content: str, reason: str, mark: str, question: str
) -> None:
    """The opener belongs to the question, and the mark that stopped the model is put back."""
    assert checks.question_of(Answer(content, reason), opener, mark) == question


def judge(
    question: str,
    detector: LanguageDetector,
    *,
    reason: str = "stop",
    paragraph: str = PARAGRAPH,
    language: str = "en",
    **options: float,
) -> tuple[str, str] | None:
    """Return the verdict on a question about a paragraph."""
    return checks.reject_reason(
        question,
        Answer(question, reason),
        paragraph,
        language,
        language_for(language),
        SynthesisConfig(**options),  # type: ignore[arg-type]
        detector,
    )


@pytest.mark.parametrize(
    ("question", "language"),
    [
        (GOOD, "en"),
        ("Quelle compagnie a fait construire le phare de Dunwick ?", "fr"),
        ("灯台は誰が建てたのですか？", "ja"),
        ("¿Qué compañía mandó construir el faro de Dunwick?", "es"),
        ("Wer war der Bauherr?", "de"),
    ],
)
def test_good_question_passes(question: str, language: str, detector: LanguageDetector) -> None:
    """A specific question in the right language has no reason against it."""
    assert judge(question, detector, language=language) is None


@pytest.mark.parametrize(
    ("question", "options", "verdict"),
    [
        ("I'm sorry, but I cannot help.", {}, ("refused", "stop")),
        (GOOD, {"reason": "refusal"}, ("refused", "refusal")),
        (GOOD, {"reason": "content_filter"}, ("refused", "content_filter")),
        (GOOD, {"reason": "length"}, ("truncated", "raise synthesis.max_output_tokens = 64")),
        ("Who was it", {}, ("too_short", "10 < 12")),
        ("誰か？", {"language": "ja"}, ("too_short", "3 < 4")),
        ("1834 1835 1836 1837?", {}, ("too_short", "20 < 12")),
        ("", {}, ("too_short", "0 < 12")),
        ("Who built it? And when was that?", {}, ("multiple_questions", "")),
        ("من بناها؟ ومتى كان ذلك؟", {"language": "ar"}, ("multiple_questions", "")),
        ("Which lamp lamp lamp lamp?", {}, ("repetitive", "a word 4 times")),
        ("What is the name that The Text gives to the tower?", {}, ("meta_reference", "the text")),
        ("Кто построил этот маяк?", {}, ("wrong_language", "Cyrillic")),
        (
            "Quelle compagnie a construit le grand phare du port ?",
            {},
            ("wrong_language", "fr"),
        ),
        (
            "Who says the harbour company built the lighthouse of Dunwick?",
            {},
            ("copied", "0.84 > 0.6"),
        ),
    ],
    ids=[
        "refusal-words",
        "refusal",
        "filter",
        "length",
        "short",
        "short-unspaced",
        "no-letters",
        "empty",
        "two",
        "two-arabic",
        "repeated",
        "meta",
        "script",
        "language",
        "copied",
    ],
)
def test_each_reason(
    question: str,
    options: dict[str, str],
    verdict: tuple[str, str],
    detector: LanguageDetector,
) -> None:
    """A bad answer is rejected with a stable reason and what decided it."""
    assert judge(question, detector, **options) == verdict  # type: ignore[arg-type]


def test_three_repeats_are_allowed(detector: LanguageDetector) -> None:
    """A name may occur three times in a question."""
    question = "Which lamp, lamp of the lamp of old Dunwick, was lit by whom in the end?"
    assert judge(question, detector) is None


def test_language_without_a_file_has_no_phrases(detector: LanguageDetector) -> None:
    """Where no refusal is known, none is found; the other checks still hold."""
    assert language_for("sw") is None
    assert judge("I cannot say", detector, language="sw") is None


@pytest.mark.parametrize(("share", "rejected"), [(0.0, True), (0.5, True), (1.0, False)])
def test_copied_share_is_an_option(
    share: float, rejected: bool, detector: LanguageDetector
) -> None:
    """A share of 1 switches the check off, 0 forbids any common letter."""
    question = "Who built the lighthouse of Dunwick in 1834?"
    verdict = judge(question, detector, max_copied_share=share)
    assert (verdict is not None and verdict[0] == "copied") is rejected


@given(question=st.text("abcé ", max_size=12), paragraph=st.text("abcé ", max_size=30))
@settings(deadline=None, max_examples=100)
def test_copied_share_equals_the_oracle(question: str, paragraph: str) -> None:
    """It is the longest common substring over the question's length."""
    pieces = {question[i:j] for i in range(len(question)) for j in range(i, len(question) + 1)}
    longest = max((len(piece) for piece in pieces if piece in paragraph), default=0)
    assert checks.copied_share(question, paragraph) == longest / max(1, len(question))


def test_copied_share_ignores_case_and_long_texts() -> None:
    """Common letters of a long paragraph are not passed over as noise."""
    paragraph = "aaaa bbbb " * 400 + PARAGRAPH
    assert checks.copied_share("THE HARBOUR COMPANY", paragraph) == 1.0
    assert checks.copied_share("", paragraph) == 0.0


@pytest.mark.parametrize(
    ("question", "script", "most"),
    [
        ("Whose whose WHOSE lamp", "Latin", 3),
        ("the the the the the", "Latin", 0),
        ("灯台の灯灯台の灯", "Han", 2),
        ("灯台", "Han", 0),
        ("", "Latin", 0),
    ],
)
def test_most_repeated(question: str, script: str, most: int) -> None:
    """Short words do not count; scripts without spaces are counted in fours."""
    assert checks.most_repeated(question, script) == most


def test_short_question_is_not_judged_by_the_engines(detector: LanguageDetector) -> None:
    """Under 20 letters only the script can tell; regions count as their language."""
    assert checks.wrong_language("Qui est-ce ?", "Latin", "en", detector) == ""
    assert checks.wrong_language("Кто это?", "Cyrillic", "en", detector) == "Cyrillic"
    assert checks.wrong_language(GOOD, "Latin", "en-GB", detector) == ""
    assert checks.wrong_language(GOOD, "Latin", "xx", detector) == ""
