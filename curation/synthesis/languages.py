"""The prompt files: what each language is asked with, and how its bad answers are worded."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from curation.language_codes import base_code, canonical_code
from curation.synthesis.wording import fold

_NO_LANGUAGES = ("default", "paper")


@dataclass(frozen=True, slots=True)
class Instructions:
    """The sentences of an instruction, and their version."""

    version: str
    read: str
    styles: dict[str, str]
    """What to write: question, keywords or claim."""
    alone: str
    difficulties: dict[str, str]
    """easy, medium and hard; "" asks for none."""
    only: str
    json: str
    joiner: str = " "


@dataclass(frozen=True, slots=True)
class Completion:
    """What a text begins with that a base model continues into a question."""

    version: str
    text_label: str
    question_label: str
    openers: tuple[str, ...]
    """Question words, one of which is drawn; with the mark that opens a question, if any."""
    question_mark: str


@dataclass(frozen=True, slots=True)
class Phrases:
    """Patterns of bad answers (see `wording`), and labels to take off any answer."""

    meta: tuple[str, ...] = ()
    unresolved: tuple[str, ...] = ()
    resolved: tuple[str, ...] = ()
    """Words behind a phrase that say what it means: "the author of …" is no riddle."""
    refusals: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    capitalises_nouns: bool = False


@dataclass(frozen=True, slots=True)
class Language:
    """What a prompt file says of one language."""

    code: str
    name: str
    instruct: Instructions
    base: Completion
    phrases: Phrases


@cache
def languages() -> dict[str, Language]:
    """Return the languages that have a prompt file, by code."""
    folder = files("curation.synthesis").joinpath("prompts")
    names = sorted(e.name.removesuffix(".toml") for e in folder.iterdir() if ".toml" in e.name)
    return {name: _language(name) for name in names if name not in _NO_LANGUAGES}


def language_for(code: str) -> Language | None:
    """Return the prompt language of a document's language, None if it has no file.

    A script that has its own file comes first (`zh-TW`: `zh-Hant`), then the language's.
    """
    return languages().get(canonical_code(code)) or languages().get(base_code(code))


@cache
def prompt_file(name: str) -> dict[str, Any]:
    """Return a file of the prompts folder, parsed."""
    path = files("curation.synthesis").joinpath("prompts", f"{name}.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


@cache
def default_instructions(code: str) -> Instructions:
    """Return the English wording that names a language without a file."""
    named = {
        key: value.replace("{language}", english_name(code)) if isinstance(value, str) else value
        for key, value in prompt_file("default").items()
    }
    return _instructions(named, " ")


@cache
def english_name(code: str) -> str:
    """Return a language's English name with its own ("Finnish (suomi)"); the code if unknown."""
    import pycld2

    names = {base_code(code): name for name, code in pycld2.LANGUAGES if "_" not in name}
    english = names.get(base_code(code), "").title()
    own = prompt_file("default")["own_names"].get(base_code(code), "")
    if not english:
        return own or code
    return f"{english} ({own})" if own not in ("", english) else english


def _language(code: str) -> Language:
    data = prompt_file(code)
    base, checks = data["base"], data["checks"]
    opening = base.get("before_opener", "")
    return Language(
        code,
        data["name"],
        _instructions(data["instruct"], data.get("joiner", " ")),
        Completion(
            version=base["version"],
            text_label=base["text"],
            question_label=base["question"],
            openers=tuple(opening + opener for opener in base["openers"]),
            question_mark=base.get("question_mark", "?"),
        ),
        Phrases(
            meta=tuple(checks["meta"]),
            unresolved=tuple(checks["unresolved"]),
            resolved=tuple(map(fold, checks["resolved"])),
            refusals=tuple(checks["refusals"]),
            labels=tuple(checks["labels"]),
            capitalises_nouns=checks.get("capitalises_nouns", False),
        ),
    )


def _instructions(data: dict[str, Any], joiner: str) -> Instructions:
    return Instructions(
        version=data["version"],
        read=data["read"],
        styles={style: data[style] for style in ("question", "keywords", "claim")},
        alone=data["alone"],
        difficulties={"": ""} | {level: data[level] for level in ("easy", "medium", "hard")},
        only=data["only"],
        json=data["json"],
        joiner=joiner,
    )
