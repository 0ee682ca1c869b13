"""Which documents get a question, and about which paragraph."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from curation.draw import rank
from curation.synthesis.config import SynthesisConfig
from curation.text import UNSPACED

_SENTENCE_END = re.compile(r"[.!?…。！？।॥؟።։](?:[\"'»”）)\]]*)(?=\s)|[。！？]")


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A piece of a document: where it starts, in characters and as a share of the text."""

    text: str
    start: int
    position: float


def is_eligible(language: str, characters: int, config: SynthesisConfig) -> bool:
    """Tell whether a document may be drawn."""
    if config.languages and language not in config.languages:
        return False
    return config.min_document_characters <= characters <= config.max_document_characters


def pick_paragraph(
    text: str, script: str, document_id: str, config: SynthesisConfig
) -> Paragraph | None:
    """Return one of a document's paragraphs, drawn uniformly; None if none is long enough.

    Uniform over the whole document, so that answers do not all sit in the lead (reference:
    synthesis).
    """
    least = config.min_paragraph_characters
    if script in UNSPACED:
        least = least // 3
    eligible = [p for p in _paragraphs(text) if len(p.text) >= least]
    if not eligible:
        return None
    chosen = generator(document_id, config.seed).choice(eligible)
    return Paragraph(
        cut(chosen.text, config.max_paragraph_characters), chosen.start, chosen.position
    )


def generator(document_id: str, seed: int) -> random.Random:
    """Return the random generator of a document: its draws depend on nothing else."""
    return random.Random(rank(document_id, "paragraph", seed))


def _paragraphs(text: str) -> Iterator[Paragraph]:
    start = 0
    for line in text.split("\n"):
        if line.strip():
            yield Paragraph(line, start, start / len(text))
        start += len(line) + 1


def cut(text: str, limit: int) -> str:
    """Return `text` cut after its last whole sentence within `limit`, or hard if that is short."""
    if len(text) <= limit:
        return text
    ends = [m.end() for m in _SENTENCE_END.finditer(text[: limit + 1]) if m.end() <= limit]
    return text[: ends[-1]] if ends and ends[-1] > limit // 3 else text[:limit]
