"""What is asked about a paragraph, in its own language, with the version of the wording.

`instruct` asks; `paper` asks as the paper did, in English for all languages; `base` is a text to
continue, for models that follow no instruction: labels in the document's language and a question
word, drawn at random, that the model completes into a question.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from curation.synthesis.config import SynthesisConfig
from curation.synthesis.languages import (
    Completion,
    Instructions,
    default_instructions,
    language_for,
    prompt_file,
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A rendered prompt; an answer continues `opener`, which belongs to the question."""

    text: str
    version: str
    opener: str = ""
    stop: tuple[str, ...] = ()
    question_mark: str = ""


def render(
    config: SynthesisConfig, code: str, paragraph: str, draw: random.Random
) -> Prompt | None:
    """Return the prompt for a paragraph; None where a base prompt's language is missing.

    `instruct` asks in English, naming the language to write in, where a language has no file; the
    version then begins with `default`.
    """
    language = language_for(code)
    if config.prompt == "base":
        return _completion(language.code, language.base, paragraph, draw) if language else None
    if config.prompt == "paper":
        data = prompt_file("paper")
        return Prompt(data["wording"].replace("{text}", paragraph), f"paper-{data['version']}")
    if language:
        return _instruction(f"instruct-{language.code}", language.instruct, paragraph, config)
    return _instruction("default", default_instructions(code), paragraph, config)


def _instruction(
    name: str, wording: Instructions, paragraph: str, config: SynthesisConfig
) -> Prompt:
    sentences = (
        wording.read,
        wording.styles[config.style],
        wording.alone,
        wording.difficulties[config.difficulty],
        wording.json if config.answer else wording.only,
    )
    asked = wording.joiner.join(sentence for sentence in sentences if sentence)
    options = (
        config.style if config.style != "question" else "",
        config.difficulty,
        "json" if config.answer else "",
    )
    version = "-".join([name, wording.version, *(option for option in options if option)])
    return Prompt(f"{asked}\n\n{paragraph}", version)


def _completion(code: str, wording: Completion, paragraph: str, draw: random.Random) -> Prompt:
    opener = draw.choice(wording.openers)
    return Prompt(
        text=f"{wording.text_label}: {paragraph}\n\n{wording.question_label} 1: {opener}",
        version=f"base-{code}-{wording.version}",
        opener=opener,
        stop=("\n", wording.question_mark),
        question_mark=wording.question_mark,
    )
