"""Decisions on stored scores, and the bounds they follow."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.config import CurationConfig
from curation.errors import ConfigError
from curation.filters import SCORES, Decider, Thresholds, load_thresholds
from curation.quality import fill_scores
from curation.records import DOCUMENT, Document, to_table
from curation.text import dominant_script, normalise
from tests.builders import PARAGRAPH

ENGLISH = normalise(
    f"{PARAGRAPH}In spring it carries the melted snow of both ranges, and the meadows at its mouth "
    "lie under water for a month."
)
JAPANESE = (
    "東京は日本の首都であり、多くの人が住んでいる。昔は江戸と呼ばれた町で、"
    "今も川が流れ、古い橋が残る。海にも近い。"
)


def document(text: str, language: str = "en", **fields: Any) -> Document:
    """Return a scored document in a declared language."""
    made = Document("d", "s", "t", text.strip(), language=language, declared_language=language)
    made.script, made.text_hash = dominant_script(text), bytes(16)
    made = dataclasses.replace(made, **fields)
    fill_scores([made])
    return made


def decisions(*documents: Document, **options: Any) -> list[tuple[str, str]]:
    """Return (reason, value) of each document."""
    found = Decider(CurationConfig(**options)).decide(to_table(documents, DOCUMENT))
    assert found.kept.tolist() == [reason == "" for reason in found.reasons]
    return list(zip(found.reasons, found.values, strict=True))


REJECTED = {
    "too short": (ENGLISH[:99], "en", ("characters_too_low", "99 < 100")),
    "too few words": ("incomprehensibilities " * 9, "en", ("words_too_low", "9 < 10")),
    "long words": ("incomprehensibilities " * 30, "en", ("mean_word_length_too_high", "21 > 7.8")),
    "numbers": ("words 1234567890 " * 30, "xx", ("letter_share_too_low", "0.3333 < 0.6")),
    "some numbers": ("words 123 " * 30, "xx", ("digit_share_too_high", "0.375 > 0.3")),
    "symbols": ("words +-* " * 30, "xx", ("symbol_share_too_high", "0.375 > 0.2")),
    "code": ("int main {return x;} " * 9, "xx", ("brace_share_too_high", "0.05882 > 0.01")),
    "hashtags": ("#some #words " * 12, "xx", ("hash_word_ratio_too_high", "1 > 0.1")),
    "the same line": (f"{ENGLISH}\n" * 4, "en", ("duplicate_line_share_too_high", "0.75 > 0.5")),
    "long lines again": (
        f"{ENGLISH}\nOne\n{ENGLISH}",
        "en",
        ("duplicate_line_character_share_too_high", None),
    ),
    "the same words": ("the mill by the river, " * 9, "en", ("top_2gram_share_too_high", None)),
    "furniture": (
        f"{ENGLISH}\nWe use cookies. {PARAGRAPH[:150]}",
        "en",
        ("boilerplate_share_too_high", None),
    ),
    "placeholder": (
        f"{ENGLISH}\nLorem ipsum dolor sit amet, of a text that is to be written some day.",
        "en",
        ("placeholder_share_too_high", None),
    ),
    "no sentence": (
        "Berta Meyer Otto Schulz Karl Lang Ida Braun Emil Wolf Hans Kurz Ella Stein " * 1
        + "Paul Richter Anna Vogel Max Busch Rosa Haas Egon Graf Lina Seidel Hugo Marx",
        "de",
        ("stop_word_share_too_low", "0 < 0.038"),
    ),
    "short korean": ("대한민국의서울특별시 " * 9, "ko", ("words_too_low", "9 < 10")),
    "short japanese": ("東京は日本の首都。" * 5, "ja", ("characters_too_low", "45 < 50")),
}


@pytest.mark.parametrize(("text", "language", "expected"), REJECTED.values(), ids=REJECTED)
def test_the_first_broken_bound_is_the_reason(
    text: str, language: str, expected: tuple[str, str | None]
) -> None:
    """Reason and value name the score, what it is and what it should be."""
    [(reason, value)] = decisions(document(text, language))
    assert (reason, value if expected[1] else None) == expected


@pytest.mark.parametrize(
    ("text", "language"),
    [(ENGLISH, "en"), (ENGLISH, "xx"), (JAPANESE, "ja"), (JAPANESE, "xx")],
    ids=["english", "unknown", "japanese", "unknown in kana"],
)
def test_prose_is_kept(text: str, language: str) -> None:
    """A language without a table has the bounds of its script."""
    assert decisions(document(text, language)) == [("", "")]


def test_an_undeclared_language_must_be_sure() -> None:
    """Without a declaration a doubtful verdict rejects; with one it does not."""
    unsure = document(ENGLISH, declared_language=None, language_score=0.41)
    sure = document(ENGLISH, declared_language=None, language_score=0.5)
    declared = document(ENGLISH, language_score=0.41)
    assert decisions(unsure, sure, declared) == [("language_unsure", "en 0.41"), ("", ""), ("", "")]
    assert decisions(unsure, min_language_score=0.4) == [("", "")]


def test_a_declared_language_must_fit_its_script() -> None:
    """Before any bound."""
    wrong = document("short", "en", script="Cyrillic")
    assert decisions(wrong) == [("wrong_script", "en in Cyrillic")]


def test_an_overruled_source_is_judged_by_the_verdict() -> None:
    """An English page in a Bengali folder is an English page, if that is sure."""
    sure = document(ENGLISH, declared_language="bn", language_score=0.9)
    unsure = document(ENGLISH, declared_language="bn", language_score=0.4)
    assert decisions(sure, unsure) == [("", ""), ("language_unsure", "en 0.40")]


def test_no_documents_need_no_decision() -> None:
    """An empty table is decided on."""
    assert decisions() == []


BOUNDS = """version = 3
[default]
min_words = 5
max_words = 9
[script.indic]
scripts = "Devanagari Bengali"
min_words = 6
[script.Bengali]
min_words = 7
[hi]
max_words = 8
["hi-Latn"]
min_words = 1
"""


@pytest.mark.parametrize(
    ("language", "script", "expected"),
    [
        ("en", "Latin", (5, 9)),
        ("mr", "Devanagari", (6, 9)),
        ("bn", "Bengali", (7, 9)),
        ("hi", "Devanagari", (6, 8)),
        ("hi-IN", "Devanagari", (6, 8)),
        ("hi-Latn", "Latin", (1, 8)),
    ],
)
def test_tables_override_one_another(language: str, script: str, expected: tuple[int, int]) -> None:
    """Default, class of scripts, script, language, language with its region."""
    thresholds = Thresholds.load(BOUNDS)
    assert thresholds.version == "3"
    found = thresholds.bounds(language, script)
    assert (found["min_words"], found["max_words"]) == expected


@pytest.mark.parametrize(
    ("words", "reason"), [(4, "words_too_low"), (5, ""), (9, ""), (10, "words_too_high")]
)
def test_a_value_on_the_bound_is_kept(tmp_path: Path, words: int, reason: str) -> None:
    """Bounds are inclusive."""
    path = tmp_path / "bounds.toml"
    path.write_text('version = "1"\n[default]\nmin_words = 5\nmax_words = 9\n')
    [(found, _)] = decisions(document("word " * words), thresholds=str(path))
    assert found == reason


@given(st.lists(st.sampled_from(sorted(REJECTED)), max_size=6))
@settings(deadline=None, max_examples=25)
def test_each_document_is_decided_on_its_own(names: list[str]) -> None:
    """Whatever languages and faults stand beside it in a table."""
    documents = [document(*REJECTED[name][:2]) for name in names]
    assert [reason for reason, _ in decisions(*documents)] == [REJECTED[n][2][0] for n in names]


def test_the_shipped_bounds_know_many_languages() -> None:
    """Over a hundred tables, each with a possible word length; no minimum above its maximum."""
    thresholds = load_thresholds("")
    assert len(thresholds._languages) > 100
    for language in thresholds._languages:
        found = thresholds.bounds(language)
        for score in SCORES:
            assert found.get(f"min_{score}", 0) <= found.get(f"max_{score}", 1e9), (language, score)


INVALID = {
    "no TOML": ("min_words: 5", "not TOML"),
    "no version": ("[default]\nmin_words = 5", "`version`"),
    "no default": ('version = "1"\n[de]\nmin_words = 5', r"\[default\]"),
    "misspelt score": ('version = "1"\n[default]\nmin_wrods = 5', "did you mean 'min_words'"),
    "misspelt side": ('version = "1"\n[default]\nmaximum_words = 5', "did you mean 'max_words'"),
    "misspelt in a language": ('version = "1"\n[default]\n[de]\nwords = 5', r"\[de\] 'words'"),
    "misspelt in a script": (
        'version = "1"\n[default]\n[script.Han]\nscript = "Han"',
        r"\[script.Han\] 'script'",
    ),
    "scripts in a list": (
        'version = "1"\n[default]\n[script.x]\nscripts = ["Han"]',
        "scripts is no line of names",
    ),
    "bounds right in script": ('version = "1"\n[default]\n[script]\nmin_words = 5', "belongs"),
    "script is text": ('version = "1"\nscript = "Han"\n[default]', "script is no table"),
    "outside a table": ('version = "1"\nmin_words = 5\n[default]', "min_words = 5 belongs"),
    "text for a number": ('version = "1"\n[default]\nmin_words = "5"', "is not a number"),
    "truth for a number": ('version = "1"\n[default]\nmin_words = true', "is not a number"),
}


@pytest.mark.parametrize(("toml", "message"), INVALID.values(), ids=INVALID)
def test_an_invalid_file_says_what_is_wrong(toml: str, message: str) -> None:
    """A mistake in the user's thresholds is found before any text is read."""
    with pytest.raises(ConfigError, match=message):
        Thresholds.load(toml)
