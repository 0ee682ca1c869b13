"""Prompts: every language file is complete, and what is rendered depends on the draw alone."""

import random
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.language import LanguageDetector
from curation.language_codes import are_related, canonical_code, fits_script
from curation.synthesis import languages, prompts
from curation.synthesis.config import DIFFICULTIES, STYLES, SynthesisConfig
from curation.text import dominant_script

CODES = sorted(languages.languages())
PAPER = ["ar", "de", "en", "es", "fr", "hi", "it", "ja", "ko", "pt", "ru", "th", "zh"]
DUMPS = ["bn", "el", "mr", "uk", "tr", "vi", "ro", "nl", "pl", "fa", "id"]


def render(code: str, seed: int = 0, text: str = "Text.", **options: Any) -> prompts.Prompt:
    """Return the prompt that a document gets."""
    config = SynthesisConfig(max_output_tokens=200, **options)
    prompt = prompts.render(config, code, text, random.Random(seed))
    assert prompt
    return prompt


def test_languages_have_files() -> None:
    """The paper's thirteen and those of the real dumps are there."""
    assert set(PAPER + DUMPS) <= set(CODES)


@pytest.fixture(scope="module")
def detector() -> LanguageDetector:
    return LanguageDetector()


@pytest.mark.parametrize("code", CODES)
def test_language_file_is_in_its_language(code: str, detector: LanguageDetector) -> None:
    """Each sentence is written in the language's script, and reads as the language."""
    asked = languages.languages()[code].instruct
    sentences = [asked.read, asked.alone, asked.only, *asked.styles.values()]
    sentences += [asked.difficulties[level] for level in ("easy", "medium", "hard")]
    for sentence in sentences:
        assert fits_script(code, dominant_script(sentence))
        assert not sentence.endswith(" ")
    verdict = detector.detect(" ".join(sentences))
    assert are_related(verdict.language, code)


@pytest.mark.parametrize("code", CODES)
def test_language_file_is_usable(code: str) -> None:
    """Openers are distinct, and every list of phrases that can be filled is."""
    language = languages.languages()[code]
    assert (language.code, language.code) == (code, canonical_code(code))
    openers = language.base.openers
    assert len(set(openers)) == len(openers) >= 8
    assert all(opener == opener.strip() for opener in openers)
    assert language.base.question_mark in "?؟？;"
    phrases = language.phrases
    assert phrases.meta
    assert phrases.unresolved
    assert phrases.refusals
    assert language.base.question_label in phrases.labels


@pytest.mark.parametrize("code", CODES)
def test_every_option_has_its_words(code: str) -> None:
    """Style, difficulty and answer change the prompt and its version, each combination once."""
    options = list(product(STYLES, DIFFICULTIES, (False, True)))
    made = [render(code, style=s, difficulty=d, answer=a) for s, d, a in options]
    assert len({prompt.text for prompt in made}) == len(options) == 24
    assert len({prompt.version for prompt in made}) == 24
    for prompt, (_, _, answer) in zip(made, options, strict=True):
        assert prompt.text.endswith("\n\nText.")
        assert all((f'"{name}"' in prompt.text) is answer for name in ("answer", "evidence"))


@given(paragraph=st.text("ab{}%é日\\n$", max_size=30))
@settings(deadline=None, max_examples=60)
def test_paragraph_is_rendered_verbatim(paragraph: str) -> None:
    """Braces and the like in a text are text, in all prompts."""
    for style, code in product(("instruct", "paper", "base"), ("en", "fi")):
        if (style, code) != ("base", "fi"):
            prompt = render(code, text=paragraph, prompt=style)
            assert paragraph in prompt.text
            assert "{text}" not in prompt.text.replace(paragraph, "")


def test_instruct_prompt() -> None:
    """An instruction has no opener and no stop, and its version names file and options."""
    prompt = render("fr", text="Un phare.")
    assert prompt.text.endswith("\n\nUn phare.")
    assert "{" not in prompt.text
    assert (prompt.opener, prompt.stop, prompt.question_mark) == ("", (), "")
    assert prompt.version == "instruct-fr-2"
    keywords = render("fr", style="keywords", difficulty="hard", answer=True)
    assert keywords.version == "instruct-fr-2-keywords-hard-json"


def test_chinese_sentences_stand_without_spaces() -> None:
    assert " " not in render("zh", text="灯塔").text
    assert render("zh-TW", text="燈塔").version == "instruct-zh-Hant-1"
    assert render("zh", text="灯塔").version == "instruct-zh-1"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("fi", "Finnish (suomi)"),
        ("ta", "Tamil (தமிழ்)"),
        ("af", "Afrikaans"),
        ("yue", "yue"),
        ("hsb", "hsb"),
    ],
)
def test_default_prompt_names_the_language(code: str, name: str) -> None:
    """A language without a file is asked in English to answer in that language, flagged."""
    prompt = render(code)
    assert f"Write in {name}, as the text is" in prompt.text
    assert "{" not in prompt.text
    assert prompt.version == "default-1"
    assert f"written in {name}." in render(code, answer=True, style="claim").text


def test_paper_prompt_is_one_for_all_languages() -> None:
    """The preset asks in English whatever the document's language."""
    asked = {render(code, prompt="paper").text for code in ("en", "ja", "fi")}
    assert len(asked) == 1
    assert render("ja", prompt="paper").version == "paper-1"


def test_base_prompt_has_no_fallback() -> None:
    """A model that continues text cannot be told a language: no prompt is better."""
    config = SynthesisConfig(prompt="base")
    assert prompts.render(config, "fi", "Teksti.", random.Random(0)) is None
    assert languages.language_for("fi") is None


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("en", "en"),
        ("en-GB", "en"),
        ("fr_CA", "fr"),
        ("simple", "en"),
        ("zh-TW", "zh-Hant"),
        ("zho_Hans", "zh"),
    ],
)
def test_regions_use_the_base_language(code: str, wanted: str) -> None:
    """A region, script or wiki name leads to the file of its language."""
    language = languages.language_for(code)
    assert language
    assert language.code == wanted


@given(seed=st.integers(0, 10**6), code=st.sampled_from(CODES))
@settings(deadline=None, max_examples=60)
def test_base_prompt_ends_in_its_opener(seed: int, code: str) -> None:
    """The answer continues one of the language's openers, and stops at its question mark."""
    base = languages.languages()[code].base
    prompt = render(code, seed, prompt="base")
    assert prompt.text == f"{base.text_label}: Text.\n\n{base.question_label} 1: {prompt.opener}"
    assert prompt.opener in base.openers
    assert prompt.stop == ("\n", base.question_mark)
    assert prompt.version == f"base-{code}-{base.version}"
    assert render(code, seed, prompt="base") == prompt


def test_spanish_opener_begins_with_its_mark() -> None:
    """The inverted mark belongs to the question."""
    assert render("es", 3, prompt="base").opener.startswith("¿")


def test_every_opener_is_drawn() -> None:
    """The draw reaches all question words about equally."""
    drawn = [render("en", seed, prompt="base").opener for seed in range(1000)]
    counts = [drawn.count(opener) for opener in languages.languages()["en"].base.openers]
    assert sum(counts) == 1000
    assert min(counts) > 50
