"""What makes an answer a question worth keeping: checks with stable reason codes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from curation.language import LanguageDetector
from curation.records import Sample
from curation.synthesis import wording
from curation.synthesis.answers import MARKS, Answer, Parsed, parse_json, parse_plain
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.copying import copied_characters, copied_share, copied_words
from curation.synthesis.languages import Phrases, language_for, languages
from curation.synthesis.question_language import LanguageVerdict, language_verdict, script_for
from curation.text import UNSPACED

Problem = tuple[str, str]
"""(reason, what decided it)"""

_MOST_REPEATS = 3
_SHARED_FROM = 5
_DENSE = frozenset({"Han", "Hangul", "Hiragana", "Katakana"})  # half the characters say as much
# Of the least length: "ما هو السل؟" has no letters for its vowels, "다이묘는?" is whole.
_LEAST_SHARE = dict.fromkeys(UNSPACED, 1 / 3) | {"Hangul": 0.5, "Arabic": 0.75, "Hebrew": 0.75}
_SYLLABLES_OF_WORD = {"vi": 1.5}  # written apart
_CHARACTERS_OF_WORD = dict.fromkeys(UNSPACED, 5) | {"Han": 2, "Hiragana": 3, "Katakana": 3}
_SENTENCE = re.compile(r"[^.!?？؟;。！।॥։፧]*(?:[.!。！।॥։]|[?？؟;፧]+[!?]*|$)")


@dataclass(frozen=True, slots=True)
class Checked:
    """A question taken out of an answer, and the verdict on it; `reason` is "" for a good one."""

    question: str
    answer: str = ""
    evidence: str = ""
    reason: str = ""
    value: str = ""
    language_verdict: str = "unsure"
    """ok, wrong or unsure: too short, or a close relative."""


def check(
    answer: Answer, sample: Sample, config: SynthesisConfig, detector: LanguageDetector
) -> Checked:
    """Return the question in an answer with the first check that it fails, if any."""
    if config.answer:
        parsed = parse_json(answer, sample.paragraph)
    else:
        parsed = parse_plain(answer, sample.opener, sample.question_mark)
    script = script_for(parsed.question, sample.language)
    language = language_verdict(parsed.question, script, sample.language, detector)
    problems = _problems(parsed, answer, sample, config, script, language)
    reason, value = next(problems, ("", ""))
    return Checked(parsed.question, parsed.answer, parsed.evidence, reason, value, language.verdict)


def _problems(
    parsed: Parsed,
    answer: Answer,
    sample: Sample,
    config: SynthesisConfig,
    script: str,
    language: LanguageVerdict,
) -> Iterator[Problem]:
    """Yield what is wrong, the cheap and certain first; the caller takes the first."""
    known = language_for(sample.language)
    phrases = known.phrases if known else Phrases()
    question = parsed.question
    found = (
        refusal(parsed.question or answer.content, answer, phrases),
        finish_problem(answer, config),
        parsed.problem,
        length_problem(question, script, config),
        several_questions(question, parsed.lines, script),
        repetition(question, script),
        meta_reference(question, phrases),
        unresolved_reference(question, phrases),
        ("wrong_language", language.found) if language.verdict == "wrong" else None,
    )
    yield from (problem for problem in found if problem)
    if problem := copied(question, sample.paragraph, sample.language, script, config):
        yield problem


def refusal(text: str, answer: Answer, phrases: Phrases) -> Problem | None:
    """Tell whether a model or its filter declined, in the asked language or in English."""
    if answer.finish_reason in ("content_filter", "refusal"):
        return "refused", answer.finish_reason
    openings = (*phrases.refusals, *languages()["en"].phrases.refusals)
    phrase = wording.starts_with(text, openings)
    return ("refused", phrase) if phrase else None


def finish_problem(answer: Answer, config: SynthesisConfig) -> Problem | None:
    """Tell whether an answer was cut off."""
    if answer.finish_reason != "length":
        return None
    return "truncated", f"raise synthesis.max_output_tokens = {config.max_output_tokens}"


def length_problem(question: str, script: str, config: SynthesisConfig) -> Problem | None:
    """Tell whether a question is too short or long; see the two options."""
    least = int(config.min_question_characters * _LEAST_SHARE.get(script, 1))
    most = config.max_question_characters // (2 if script in _DENSE else 1)
    if len(question) < least or not script:
        return "too_short", f"{len(question)} < {least}"
    return ("too_long", f"{len(question)} > {most}") if len(question) > most else None


def several_questions(question: str, lines: int, script: str) -> Problem | None:
    """Tell whether an answer has several lines, or several sentences with a question mark.

    Marks in quotation marks belong to titles; Japanese may ask with か。alone.
    """
    if lines > 1:
        return "multiple_questions", f"{lines} lines"
    marks = MARKS if script == "Greek" else MARKS.replace(";", "")
    text = wording.without_quotes(question)
    sentences = _SENTENCE.findall(text if script == "Greek" else text.replace(";", ","))
    asked = sum(
        (any(mark in s for mark in marks) or s.endswith("か。")) and any(map(str.isalpha, s))
        for s in sentences
    )
    return ("multiple_questions", f"{asked} questions") if asked > 1 else None


def repetition(question: str, script: str) -> Problem | None:
    """Tell whether a word comes again and again, as from a model that has lost its way."""
    repeated = most_repeated(question, script)
    return ("repetitive", f"a word {repeated} times") if repeated > _MOST_REPEATS else None


def most_repeated(question: str, script: str) -> int:
    """Return how often the most frequent word of 4 or more letters occurs.

    In scripts without spaces as many characters in a row as two words have count as one.
    """
    if script in UNSPACED:
        size = 2 * _CHARACTERS_OF_WORD[script]
        pieces = [question[i : i + size] for i in range(len(question) - size + 1)]
        pieces = [piece for piece in pieces if not piece.isascii()]
    else:
        pieces = [wording.fold(word) for word in wording.words(question) if len(word) >= 4]
    return max(Counter(pieces).values(), default=0)


def meta_reference(question: str, phrases: Phrases) -> Problem | None:
    """Tell whether a question speaks of the text it was asked about."""
    phrase = wording.find(question, phrases.meta, phrases.resolved, phrases.capitalises_nouns)
    return ("meta_reference", phrase) if phrase else None


def unresolved_reference(question: str, phrases: Phrases) -> Problem | None:
    """Tell whether a question speaks of something that only the text could name."""
    phrase = wording.find(question, phrases.unresolved, phrases.resolved, phrases.capitalises_nouns)
    return ("unresolved_reference", phrase) if phrase else None


def copied(
    question: str, paragraph: str, language: str, script: str, config: SynthesisConfig
) -> Problem | None:
    """Tell whether a question repeats the paragraph: by its share, or by words in a row.

    A share counts from 5 words on, or "Who founded the Royal Society of Dunwick?" were a copy;
    quotations are no copies, they are what is asked about.
    """
    own = wording.without_quotes(question)
    unit = _CHARACTERS_OF_WORD.get(script, 0)
    if unit:
        shared = copied_characters(own, paragraph) // unit
    else:
        shared = int(copied_words(own, paragraph) / _SYLLABLES_OF_WORD.get(language, 1))
    share = copied_share(own, paragraph)
    if share > config.max_copied_share and shared >= _SHARED_FROM:
        return "copied", f"{share:.2f} > {config.max_copied_share}"
    if shared > config.max_copied_words:
        return "copied", f"{shared} words in a row > {config.max_copied_words}"
    return None
