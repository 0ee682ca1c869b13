"""The language of a question: by its script, then by the engines, never by its names."""

import pytest

from curation.language import LanguageDetector
from curation.synthesis import question_language

GOOD = "Which company was responsible for the lighthouse at Dunwick?"


@pytest.fixture(scope="module")
def detector() -> LanguageDetector:
    """The language engines, loaded once."""
    return LanguageDetector()


@pytest.mark.parametrize(
    ("question", "language", "script"),
    [
        ("Sky Movies和Sky Box office也包含什么？", "zh", "Han"),
        ("Main Quadrangles คืออะไร", "th", "Thai"),
        ("Кто написал Liber servitoris?", "ru", "Cyrillic"),
        ("What have studies of the 北京 found?", "zh", "Latin"),
        ("ライトハウス", "ja", "Katakana"),
        ("灯台は誰が", "ja", "Hiragana"),
        ("Who?", "xx", "Latin"),
        ("1834", "en", ""),
        ("谁唱了《All You Need Is Love and a Little Bit of Luck》？", "zh", "Han"),
        ("《本草纲目》", "zh", "Han"),
    ],
)
def test_names_do_not_change_the_script(question: str, language: str, script: str) -> None:
    """A fifth of the letters in the language's own script is enough."""
    assert question_language.script_for(question, language) == script


@pytest.mark.parametrize(
    ("question", "language", "verdict", "found"),
    [
        ("Qui est-ce ?", "en", "unsure", ""),
        ("Кто это?", "en", "wrong", "Cyrillic"),
        ("Who?", "ja", "wrong", "Latin"),
        ("誰ですか？", "ja", "ok", ""),
        ("누구?", "ko", "ok", ""),
        ("ใคร", "th", "ok", ""),
        ("ποιος;", "el", "ok", ""),
        ("谁建造了邓尼奇的灯塔？", "ja", "wrong", "zh"),
        ("谁?", "zh", "unsure", ""),
        (GOOD, "en-GB", "ok", ""),
        (GOOD, "xx", "unsure", ""),
        (GOOD, "de", "wrong", "en"),
        ("Hvilket selskap bygget fyrtårnet ved havnen i Dunwick?", "da", "unsure", ""),
        ("Кто пел песню «Have you ever seen the rain»?", "ru", "unsure", ""),
        ("Кто пел Have you seen the rain?", "ru", "unsure", ""),
        ("Wer schrieb das Lied „Have you ever seen the rain“?", "de", "ok", ""),
        ("", "en", "unsure", ""),
    ],
)
def test_language_verdict(
    question: str, language: str, verdict: str, found: str, detector: LanguageDetector
) -> None:
    """The script decides alone; short questions and close relatives stay unsure."""
    script = question_language.script_for(question, language)
    judged = question_language.language_verdict(question, script, language, detector)
    assert (judged.verdict, judged.found) == (verdict, found)
