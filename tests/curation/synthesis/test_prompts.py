"""Prompts: every language file is complete, and what is rendered depends on the draw alone."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.synthesis import prompts

CODES = sorted(prompts.languages())


def test_languages_have_files() -> None:
    """The languages of the demo and their neighbours are there."""
    assert {"en", "fr", "es", "de", "it"} <= set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_language_file_is_usable(code: str) -> None:
    """A file asks in its language, names openers, and lists phrases in the form compared."""
    language = prompts.languages()[code]
    assert language.code == code
    assert language.instruct.count("{text}") == 1
    assert language.openers
    assert len(set(language.openers)) == len(language.openers)
    assert all(opener == opener.strip() for opener in language.openers)
    assert language.question_mark in "?؟？"
    assert language.meta_phrases
    assert language.refusals
    for phrase in (*language.meta_phrases, *language.refusals):
        assert phrase == phrase.casefold()


@given(paragraph=st.text("ab{}%é日\\n$", max_size=30))
@settings(deadline=None, max_examples=60)
def test_paragraph_is_rendered_verbatim(paragraph: str) -> None:
    """Braces and the like in a text are text, in both styles."""
    for style in ("instruct", "base"):
        prompt = prompts.render(style, "en", paragraph, random.Random(0))
        assert prompt
        assert paragraph in prompt.text
        assert "{text}" not in prompt.text.replace(paragraph, "")


def test_instruct_prompt() -> None:
    """An instruction has no opener and no stop, and its version names file and style."""
    prompt = prompts.render("instruct", "fr", "Un phare.", random.Random(0))
    assert prompt
    assert prompt.text.endswith("\n\nUn phare.")
    assert "{" not in prompt.text
    assert (prompt.opener, prompt.stop, prompt.question_mark) == ("", (), "")
    assert prompt.version == "instruct-fr-1"


@pytest.mark.parametrize("code", ["sw", "yue"])
def test_instruct_falls_back_to_english_wording(code: str) -> None:
    """A language without a file is asked in English to answer in that language."""
    prompt = prompts.render("instruct", code, "Maandishi.", random.Random(0))
    assert prompt
    assert f"Write the question in {code} and" in prompt.text
    assert prompt.version == "instruct-en-1"


def test_base_prompt_has_no_fallback() -> None:
    """A model that continues text cannot be told a language: no prompt is better."""
    assert prompts.render("base", "sw", "Maandishi.", random.Random(0)) is None
    assert prompts.language_for("sw") is None


@pytest.mark.parametrize(
    ("code", "wanted"), [("en", "en"), ("en-GB", "en"), ("fr_CA", "fr"), ("simple", "en")]
)
def test_regions_use_the_base_language(code: str, wanted: str) -> None:
    """A region, script or wiki name leads to the file of its language."""
    language = prompts.language_for(code)
    assert language
    assert language.code == wanted


@given(seed=st.integers(0, 10**6), code=st.sampled_from(CODES))
@settings(deadline=None, max_examples=60)
def test_base_prompt_ends_in_its_opener(seed: int, code: str) -> None:
    """The answer continues one of the language's openers, and stops at its question mark."""
    language = prompts.languages()[code]
    prompt = prompts.render("base", code, "Text.", random.Random(seed))
    assert prompt
    head = f"{language.text_label}: Text.\n\n{language.question_label} 1: "
    assert prompt.text == head + prompt.opener
    assert prompt.opener.removeprefix(language.before_opener) in language.openers
    assert prompt.stop == ("\n", language.question_mark)
    assert prompt.version == f"base-{code}-{language.version}"
    assert prompts.render("base", code, "Text.", random.Random(seed)) == prompt


def test_spanish_opener_begins_with_its_mark() -> None:
    """The inverted mark belongs to the question."""
    prompt = prompts.render("base", "es", "Un faro.", random.Random(3))
    assert prompt
    assert prompt.opener.startswith("¿")


def test_every_opener_is_drawn() -> None:
    """The draw reaches all question words about equally."""
    drawn = [prompts.render("base", "en", "x", random.Random(i)) for i in range(1000)]
    counts = {
        o: sum(p is not None and p.opener == o for p in drawn)
        for o in prompts.languages()["en"].openers
    }
    assert sum(counts.values()) == 1000
    assert min(counts.values()) > 50
