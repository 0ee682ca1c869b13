"""Whether a question is in the language of its document."""

from __future__ import annotations

from dataclasses import dataclass

from curation.language import LanguageDetector
from curation.language_codes import are_related, base_code, fits_script
from curation.synthesis.wording import without_quotes
from curation.text import UNSPACED, dominant_script, script_counts, script_of

_SURE = 0.9  # probability from which 97 % of sentences of 120 languages are what was said
_JUDGED_FROM = 20  # shorter questions are not told apart by the engines
_TELLING = frozenset({"Greek", "Hangul", "Hiragana", "Katakana", "Thai"})  # one language's each
_MIXED = 0.2  # share of letters from which a script is more than a name or two


@dataclass(frozen=True, slots=True)
class LanguageVerdict:
    """ok, wrong or unsure, and the script or language that was found where it is wrong."""

    verdict: str
    found: str = ""


def script_for(question: str, language: str) -> str:
    """Return the script that a question is written in: its language's, if a fifth of it is.

    Names keep their letters in any language: "Sky Movies和Sky Box也包含什么？" is Chinese.
    Quotations do not count unless there is nothing else.
    """
    text = without_quotes(question, "")
    counts = script_counts(text) or script_counts(question)
    fitting = sum(n for script, n in counts.items() if fits_script(language, script))
    own = own_text(question, language)
    return dominant_script(own if fitting >= _MIXED * counts.total() and own else question)


def own_text(question: str, language: str) -> str:
    """Return a question without quotations and without letters of scripts not its language's."""
    return "".join(
        character if not character.isalpha() or fits_script(language, script_of(character)) else " "
        for character in without_quotes(question, "")
    ).strip()


def language_verdict(
    question: str, script: str, language: str, detector: LanguageDetector
) -> LanguageVerdict:
    """Return whether a question is in its document's language: ok, wrong or unsure.

    A script that does not fit is decisive, and so is one that only this language has; questions
    under 20 characters (6 in unspaced scripts), languages that no engine knows and close
    relatives stay unsure. Names in other scripts and quotations are not judged.
    """
    if not script:
        return LanguageVerdict("unsure")
    if not fits_script(language, script):
        return LanguageVerdict("wrong", script)
    if not detector.knows(language):
        return LanguageVerdict("unsure")
    if script in _TELLING:
        return LanguageVerdict("ok")
    own = " ".join(own_text(question, language).split())
    if len(own) < _JUDGED_FROM // (3 if script in UNSPACED else 1):
        return LanguageVerdict("unsure")
    said = detector.detect(own)
    if said.language == base_code(language):
        return LanguageVerdict("ok")
    if said.score < _SURE or are_related(said.language, language):
        return LanguageVerdict("unsure")
    return LanguageVerdict("wrong", said.language)
