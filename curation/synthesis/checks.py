"""What makes an answer a question worth keeping: checks with stable reason codes."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from difflib import SequenceMatcher

from curation.language import LanguageDetector
from curation.language_codes import base_code, fits_script
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.prompts import Language
from curation.text import UNSPACED, dominant_script, one_line

_LABEL = re.compile(r"^(?:\W*(?:\d{1,2}[.):](?!\d)|Q(?:uestion)?\s*\d*\s*:))\s*", re.IGNORECASE)
_MARKS = "?؟？;"
_SURE = 0.9  # probability from which 97 % of sentences of 120 languages are what was said
_JUDGED_FROM = 20  # shorter questions are not told apart by the engines
_MOST_REPEATS = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said."""

    content: str
    finish_reason: str


def question_of(answer: Answer, prompt_opener: str, question_mark: str) -> str:
    """Return the question in an answer: the opener in front, labels and quotes removed.

    A base model is stopped at the question mark, which is put back.
    """
    text = one_line(prompt_opener + answer.content)
    text = _LABEL.sub("", text).strip("\"'“”«»*_` ")
    if prompt_opener and answer.finish_reason == "stop" and text and text[-1] not in _MARKS:
        text += question_mark
    return text


def reject_reason(
    question: str,
    answer: Answer,
    paragraph: str,
    language: str,
    words: Language | None,
    config: SynthesisConfig,
    detector: LanguageDetector,
) -> tuple[str, str] | None:
    """Return (reason, value) of the first check that fails, None for a good question."""
    script = dominant_script(question)
    folded = question.casefold()
    if answer.finish_reason in ("content_filter", "refusal") or _starts_with(folded, words):
        return "refused", answer.finish_reason
    if answer.finish_reason == "length":
        return "truncated", f"raise synthesis.max_output_tokens = {config.max_output_tokens}"
    if broken := _malformed(question, script, config):
        return broken
    if words and (phrase := next((p for p in words.meta_phrases if p in folded), "")):
        return "meta_reference", phrase
    if wrong := wrong_language(question, script, language, detector):
        return "wrong_language", wrong
    if (share := copied_share(question, paragraph)) > config.max_copied_share:
        return "copied", f"{share:.2f} > {config.max_copied_share}"
    return None


def _malformed(question: str, script: str, config: SynthesisConfig) -> tuple[str, str] | None:
    least = config.min_question_characters // (3 if script in UNSPACED else 1)
    if len(question) < least or not script:
        return "too_short", f"{len(question)} < {least}"
    if len([mark for mark in question if mark in "?؟？"]) > 1:
        return "multiple_questions", ""
    if (repeated := most_repeated(question, script)) > _MOST_REPEATS:
        return "repetitive", f"a word {repeated} times"
    return None


def _starts_with(folded: str, words: Language | None) -> bool:
    return bool(words) and folded.startswith(words.refusals if words else ())


def most_repeated(question: str, script: str) -> int:
    """Return how often the most frequent word of 4 or more letters occurs.

    In scripts without spaces any 4 characters in a row count as a word.
    """
    if script in UNSPACED:
        pieces = [question[i : i + 4] for i in range(len(question) - 3)]
    else:
        pieces = [word for word in re.findall(r"\w+", question.casefold()) if len(word) >= 4]
    return max(Counter(pieces).values(), default=0)


def wrong_language(question: str, script: str, language: str, detector: LanguageDetector) -> str:
    """Return the other language a question is in; "" where it fits or cannot be told."""
    if not fits_script(language, script):
        return script
    if len(question) < _JUDGED_FROM or not detector.knows(language):
        return ""
    verdict = detector.detect(question)
    is_other = base_code(language) != verdict.language
    return verdict.language if is_other and verdict.score >= _SURE else ""


def copied_share(question: str, paragraph: str) -> float:
    """Return the length of the longest common substring over the question's."""
    matcher = SequenceMatcher(None, paragraph.casefold(), question.casefold(), autojunk=False)
    longest = matcher.find_longest_match()
    return longest.size / max(1, len(question))
