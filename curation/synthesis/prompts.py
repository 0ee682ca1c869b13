"""Prompts per language, from data files with a version.

`instruct` prompts ask; `base` prompts are a text to continue, for models that follow no
instruction: labels in the document's language and a question word, drawn at random, that the
model completes into a question.
"""

from __future__ import annotations

import random
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from curation.language_codes import base_code

_FALLBACK = "en"


@dataclass(frozen=True, slots=True)
class Language:
    """What a prompt file says of one language."""

    code: str
    name: str
    version: str
    instruct: str
    text_label: str
    question_label: str
    before_opener: str
    openers: tuple[str, ...]
    question_mark: str
    meta_phrases: tuple[str, ...]
    refusals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A rendered prompt; an answer continues `opener`, which belongs to the question."""

    text: str
    opener: str
    stop: tuple[str, ...]
    question_mark: str
    version: str


@cache
def languages() -> dict[str, Language]:
    """Return the languages that have a prompt file, by code."""
    folder = files("curation.synthesis").joinpath("prompts")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".toml"))
    found = {}
    for name in names:
        data = tomllib.loads(folder.joinpath(name).read_text(encoding="utf-8"))
        code = name.removesuffix(".toml")
        found[code] = Language(
            code=code,
            name=data["name"],
            version=data["version"],
            instruct=data["instruct"],
            text_label=data["base"]["text"],
            question_label=data["base"]["question"],
            before_opener=data["base"].get("before_opener", ""),
            openers=tuple(data["base"]["openers"]),
            question_mark=data["base"].get("question_mark", "?"),
            meta_phrases=tuple(data["checks"]["meta"]),
            refusals=tuple(data["checks"]["refusals"]),
        )
    return found


def language_for(code: str) -> Language | None:
    """Return the prompt language of a document's language, None if it has no file."""
    return languages().get(base_code(code))


def render(style: str, code: str, paragraph: str, draw: random.Random) -> Prompt | None:
    """Return the prompt for a paragraph; None where a base prompt's language is missing.

    `instruct` falls back to the English wording, which names the language to answer in.
    """
    language = language_for(code)
    if style == "base":
        return _base(language, paragraph, draw) if language else None
    wording = language or languages()[_FALLBACK]
    text = wording.instruct.format(text=paragraph, language=language.name if language else code)
    return Prompt(text, "", (), "", f"instruct-{wording.code}-{wording.version}")


def _base(language: Language, paragraph: str, draw: random.Random) -> Prompt:
    opener = language.before_opener + draw.choice(language.openers)
    text = f"{language.text_label}: {paragraph}\n\n{language.question_label} 1: {opener}"
    version = f"base-{language.code}-{language.version}"
    return Prompt(text, opener, ("\n", language.question_mark), language.question_mark, version)
