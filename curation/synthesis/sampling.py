"""Which documents may get a question, and about which of their paragraphs."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from curation.draw import rank
from curation.synthesis.config import SynthesisConfig
from curation.text import UNSPACED

_SENTENCE_END = re.compile(r"[.!?…。！？।॥؟።։](?:[\"'»”）)\]]*)(?=\s)|[。！？]")
_DENSITY = 3  # characters of a script with spaces that say as much as one without


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A piece of a document: its number, where it starts, and that as a share of the text."""

    text: str
    index: int
    start: int
    position: float


def is_eligible(language: str, script: str, characters: int, config: SynthesisConfig) -> bool:
    """Tell whether a document may be drawn by its language and length in characters.

    A third of the characters counts in scripts without spaces.
    """
    if config.languages and language not in config.languages:
        return False
    if script in UNSPACED:
        characters *= _DENSITY
    return config.min_document_characters <= characters <= config.max_document_characters


def has_token_band(config: SynthesisConfig) -> bool:
    """Tell whether documents must be tokenised to know whether they may be drawn."""
    return bool(config.min_document_tokens or config.max_document_tokens)


def fits_token_band(tokens: int, config: SynthesisConfig) -> bool:
    """Tell whether a document may be drawn by its length in tokens; a bound of 0 is none."""
    most = config.max_document_tokens or tokens
    return config.min_document_tokens <= tokens <= most


def pick_paragraphs(
    text: str, script: str, document_id: str, config: SynthesisConfig, count: int = 1
) -> list[Paragraph]:
    """Return up to `count` paragraphs of a document, drawn uniformly without replacement.

    Uniform over the whole document, so that answers do not all sit in the lead (reference:
    synthesis). Of paragraphs with equal text one is in the draw; a larger `count` keeps the
    paragraphs of a smaller one.
    """
    least = config.min_paragraph_characters // (_DENSITY if script in UNSPACED else 1)
    distinct: dict[str, Paragraph] = {}
    for paragraph in _paragraphs(text):
        if len(paragraph.text) >= least:
            distinct.setdefault(paragraph.text, paragraph)
    listed = list(distinct.values())
    order = random.Random(rank(document_id, "paragraph", config.seed))
    for i in range(min(count, len(listed))):
        j = order.randrange(i, len(listed))
        listed[i], listed[j] = listed[j], listed[i]
    return [_shortened(paragraph, config) for paragraph in listed[:count]]


def generator(document_id: str, number: int, seed: int) -> random.Random:
    """Return the generator for the prompt of a document's paragraph: the first is number 0.

    Its draws depend on nothing else, and not on how many paragraphs are asked about.
    """
    draw = random.Random(rank(document_id, "paragraph", seed))
    for _ in range(number + 1):
        draw.random()
    return draw


def _shortened(paragraph: Paragraph, config: SynthesisConfig) -> Paragraph:
    text = cut(paragraph.text, config.max_paragraph_characters)
    return Paragraph(text, paragraph.index, paragraph.start, paragraph.position)


def _paragraphs(text: str) -> Iterator[Paragraph]:
    start = index = 0
    for line in text.split("\n"):
        if line.strip():
            yield Paragraph(line, index, start, start / len(text))
            index += 1
        start += len(line) + 1


def cut(text: str, limit: int) -> str:
    """Return `text` cut after its last whole sentence within `limit`, or hard if that is short."""
    if len(text) <= limit:
        return text
    ends = [m.end() for m in _SENTENCE_END.finditer(text[: limit + 1]) if m.end() <= limit]
    return text[: ends[-1]] if ends and ends[-1] > limit // 3 else text[:limit]
