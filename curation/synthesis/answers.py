"""Taking the question out of what a model said."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from curation.synthesis.copying import one_case
from curation.synthesis.languages import languages
from curation.text import one_line

MARKS = "?？؟;՞፧"
"""Characters that make a sentence a question; the semicolon does in Greek only."""
FIELDS = ("question", "answer", "evidence")
RESPONSE_FORMAT: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {
        "name": "question",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in FIELDS},
            "required": list(FIELDS),
            "additionalProperties": False,
        },
    },
}
"""What a request for question, answer and evidence names as its `response_format`."""

_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_FENCE = re.compile(r"^[ \t]*```\w*[ \t]*$", re.MULTILINE)
_BULLET = re.compile(r"^[\s*_#>•-]*(?:\(?[0-9०-९০-৯٠-٩۰-۹๐-๙]{1,2}[.):）、](?!\d))?[\s*_#>•-]*")
_QUOTES = "\"'“”„‟‘’«»‹›「」『』*_`"
_DOUBLE = '"“”„‟«»「」『』'
_PAIRS = ('""', "''", "“”", "„“", "„”", "””", "«»", "»«", "‘’", "「」", "『』", "``")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said."""

    content: str
    finish_reason: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """An answer taken apart; `problem` is (reason, value) where that failed."""

    question: str
    answer: str = ""
    evidence: str = ""
    lines: int = 1
    """Lines that are no preamble; more than one are several questions."""
    problem: tuple[str, str] | None = None


# Words of up to three letters before a stop are abbreviations: the mark may have come behind.
_STATEMENT = re.compile(r"[^\s.]{4,}[.!।॥]$|(?<!か)[。！]$")


def parse_plain(answer: Answer, opener: str = "", question_mark: str = "") -> Parsed:
    """Return the question of a plain answer: numbers, labels, quotes and preamble removed.

    A base model is stopped at the question mark, which is put back; one that came to the end of a
    line behind a full stop has made a statement.
    """
    text = _FENCE.sub("", _THOUGHT.sub("", opener + answer.content))
    lines = [line for line in map(unlabelled, text.splitlines()) if line]
    while len(lines) > 1 and lines[0][-1] in ":：":
        del lines[0]
    question = one_line(" ".join(lines))
    problem: tuple[str, str] | None = None
    if opener and answer.finish_reason == "stop" and question and question[-1] not in MARKS:
        if statement := _STATEMENT.search(question):
            problem = "not_a_question", statement[0]
        elif not question.endswith("か。"):
            question = question.rstrip(" :,;–-") + question_mark
    return Parsed(question, lines=len(lines), problem=problem)


def parse_json(answer: Answer, paragraph: str) -> Parsed:
    """Return question, answer and evidence of an answer that should be one JSON object.

    Fences and words around the object and further fields are passed over. The evidence must stand
    in the paragraph, case and white space aside.
    """
    found, problem = _json_object(_THOUGHT.sub("", answer.content))
    if problem:
        return Parsed("", problem=("bad_json", problem))
    asked = parse_plain(Answer(found["question"], answer.finish_reason))
    evidence = one_line(found["evidence"])
    bare = one_case(evidence.strip(_QUOTES + " .…"))
    is_there = bool(bare) and bare in one_case(one_line(paragraph))
    return Parsed(
        question=asked.question,
        answer=one_line(found["answer"]),
        evidence=evidence,
        lines=asked.lines,
        problem=None if is_there else ("evidence_not_found", evidence[:100]),
    )


def unlabelled(line: str) -> str:
    """Return a line without its number, label ("Frage:"), emphasis and the quotes around it."""
    text, before = one_line(line), ""
    while text != before:
        before = text
        text = _labels().sub("", _BULLET.sub("", text)).strip("*_` ")
        if len(text) > 1 and text[0] + text[-1] in _PAIRS and text.count(text[0], 1, -1) == 0:
            text = text[1:-1].strip()
        inner = text.strip(_DOUBLE + " ")
        text = text if any(quote in inner for quote in _DOUBLE) else inner
    return text


@cache
def _labels() -> re.Pattern[str]:
    """Return what matches the label of any language with a prompt file at a text's start."""
    listed = {label for known in languages().values() for label in known.phrases.labels}
    listed |= {known.base.question_label for known in languages().values()}
    names = "|".join(re.escape(label) for label in sorted(listed, key=len, reverse=True))
    return re.compile(rf"^(?:{names})\s*\d*\s*[*_]*\s*[:：]\s*", re.IGNORECASE)


def _json_object(text: str) -> tuple[dict[str, str], str]:
    """Return the one object in a text with all fields, and what is wrong with it."""
    start = text.find("{")
    if start < 0:
        return {}, "no object"
    try:
        found, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return {}, "not JSON"
    if "{" in text[end:]:
        return {}, "several objects"
    for name in FIELDS:
        if not isinstance(found.get(name), str):
            return {}, f"{name} is no text" if name in found else f"no {name}"
    return found, ""
