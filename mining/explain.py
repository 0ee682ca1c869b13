"""Why a passage matched: shared tokens with their weights, and where they stand in the text."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from train.model import M3Model

SNIPPET = 320  # characters of a passage that a result shows
_WORD = 24  # characters among which a word's border is looked for


@dataclass(frozen=True, slots=True)
class Term:
    """A token that query and passage share."""

    text: str
    query_weight: float
    passage_weight: float

    @property
    def score(self) -> float:
        """What it adds to the sparse score."""
        return self.query_weight * self.passage_weight


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a text, and how much what stands there adds to the sparse score."""

    start: int
    end: int
    score: float


def shared_terms(
    model: M3Model, query: Mapping[int, float], passage: Mapping[int, float]
) -> list[Term]:
    """Return the tokens of both, largest share of the score first."""
    shared = sorted(query.keys() & passage.keys())
    names = model.tokenizer.convert_ids_to_tokens(shared)
    terms = [
        Term(readable(name), query[token], passage[token])
        for token, name in zip(shared, names, strict=True)
    ]
    return sorted(terms, key=lambda term: -term.score)


def readable(token: str) -> str:
    """Return a token without the marks that tokenizers put where a word begins or goes on."""
    return token.replace("▁", " ").replace("Ġ", " ").removeprefix("##").strip() or token


def spans(
    model: M3Model, text: str, query: Mapping[int, float], passage: Mapping[int, float]
) -> list[Span]:
    """Return where a text's tokens are shared ones; tokens that touch make one span.

    The text is read as the model reads passages, prompt included, and cut where it cuts.
    """
    prompt = model.config.passage_prompt
    encoded = model.tokenizer(
        prompt + text,
        truncation=True,
        max_length=model.config.max_passage_tokens,
        return_offsets_mapping=True,
    )
    shared = query.keys() & passage.keys()
    # a mark of where a word begins is a token too, but stands for no character
    shared -= {token for token in shared if not _letters(model, token)}
    found: list[Span] = []
    for token, (start, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
        if token in shared and end > start >= len(prompt):
            span = Span(start - len(prompt), end - len(prompt), query[token] * passage[token])
            _add(found, _trimmed(span, text))
    return found


def _letters(model: M3Model, token: int) -> str:
    name: str = model.tokenizer.convert_ids_to_tokens(token)
    return name.strip("▁Ġ ")


def _trimmed(span: Span, text: str) -> Span:
    """Leave out spaces that a tokenizer counts to a word, take in the marks of its letters."""
    piece = text[span.start : span.end]
    start = span.start + len(piece) - len(piece.lstrip())
    end = start + len(piece.strip())
    while end > start > 0 and is_mark(text[start]):
        start -= 1
    while start < end < len(text) and is_mark(text[end]):
        end += 1
    return Span(start, end, span.score)


def is_mark(character: str) -> bool:
    """Tell whether a character is drawn onto the one before it."""
    return unicodedata.category(character)[0] == "M"


def _add(found: list[Span], span: Span) -> None:
    if span.start == span.end:
        return
    if found and span.start <= found[-1].end:
        last = found.pop()
        span = Span(min(last.start, span.start), max(last.end, span.end), last.score + span.score)
    found.append(span)


def window(length: int, found: Sequence[Span], size: int = SNIPPET) -> tuple[int, int]:
    """Return the stretch of `size` characters whose spans score most; the first of equal ones."""
    if length <= size:
        return 0, length
    best, start, score, first = 0.0, 0, 0.0, 0
    for last, span in enumerate(found):
        score += span.score
        while span.end - found[first].start > size and first < last:
            score -= found[first].score
            first += 1
        if score > best + 1e-9:
            best, start = score, found[first].start
    start = max(0, min(start - size // 8, length - size))  # some words before the first match
    return start, start + size


def at_words(text: str, start: int, end: int) -> tuple[int, int]:
    """Return a stretch without the pieces of words, and of letters, at its ends."""
    if start > 0 and (at := text.find(" ", start - 1, start + _WORD)) >= 0:
        start = at + 1
    if end < len(text) and (at := text.rfind(" ", max(0, end - _WORD), end + 1)) > start:
        end = at
    while start < end and start > 0 and is_mark(text[start]):
        start += 1
    while end < len(text) and is_mark(text[end]):
        end += 1
    return start, end


def inside(found: Sequence[Span], start: int, end: int) -> list[Span]:
    """Return the spans within a stretch, counted from where it begins."""
    return [
        Span(max(span.start, start) - start, min(span.end, end) - start, span.score)
        for span in found
        if span.start < end and span.end > start
    ]
