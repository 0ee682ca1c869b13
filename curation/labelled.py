"""Labelled queries → training rows: cleaned, named by language, one row per question."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import groupby

from curation import text
from curation.config import SourceConfig
from curation.draw import is_drawn
from curation.language import LanguageDetector
from curation.language_codes import canonical_code
from curation.pair_filters import may_be_written
from curation.records import Reject, TrainingRow, text_key
from curation.sources.raw import Passage, RawLabelled

NOT_MINED = -1
"""The rank of a negative that the data set itself names."""

_SURE, _LIKELY = 0.9, 0.2  # of a query's own verdict, of the passages' language for the query
_CACHED_PASSAGES = 4096  # a passage comes with each of its questions; SQuAD's have about five


class Labeller:
    """Turns labelled queries into training rows; `detector` is shared within the process."""

    def __init__(self, detector: LanguageDetector) -> None:
        self._detector = detector
        self._language_of = lru_cache(_CACHED_PASSAGES)(lambda t: detector.detect(t).language)

    def rows(
        self, raw: RawLabelled, source: SourceConfig, mask: Callable[[str], str] | None = None
    ) -> Iterator[TrainingRow | Reject | None]:
        """Yield the row of a query, rejects, or None if the sample leaves it out.

        A query without text or positive is rejected, and so is a negative that is a positive too.
        `mask` takes personal data out of each text.
        """
        clean = (lambda t: mask(text.normalise(t))) if mask else text.normalise
        query = " ".join(clean(raw.query).split())
        if not is_drawn(text_key(query).hex(), "source", source.sample):
            yield None
            return
        positives = _cleaned(raw.positives, raw.positive_scores, query, clean)
        negatives = _cleaned(raw.negatives, raw.negative_scores, query, clean)
        languages = self._languages(query, positives, raw, source)
        reason, value = _problem(query, positives, languages)
        if reason:
            excerpt = query[:200]
            yield Reject(raw.id, "extract", reason, source.label, languages[1], value, excerpt)
            return
        keys = {text_key(passage.text) for passage, _ in positives}
        kept = [(p, score) for p, score in negatives if text_key(p.text) not in keys]
        if len(kept) < len(negatives):
            yield _contradiction(raw.id, source.label, languages[1], len(negatives) - len(kept))
        yield _row(query, positives, kept, languages, source.label)

    def _languages(
        self, query: str, positives: list[Scored], raw: RawLabelled, source: SourceConfig
    ) -> tuple[str, str]:
        """Return the languages of query and passages: as declared, else as detected.

        Where only the passages' language is declared it is the queries' too.
        """
        asked = raw.query_language or source.query_language
        body = raw.language or source.language
        if body is None:
            body = self._language_of(positives[0][0].text) if positives else "und"
            asked = asked or self._query_language(query, body)
        return canonical_code(asked or body), canonical_code(body)

    def _query_language(self, query: str, body: str) -> str:
        """Return the passages' language unless the query, short as it is, speaks against it.

        "und" where neither its own verdict nor the passages' language is likely: a question in a
        language that no engine knows is not named after the closest one.
        """
        own = self._detector.detect(query)
        if own.language == body or own.score >= _SURE:
            return own.language
        return body if self._detector.detect(query, body).score >= _LIKELY else "und"


Scored = tuple[Passage, float | None]


def _cleaned(
    passages: Sequence[Passage],
    scores: Sequence[float] | None,
    query: str,
    clean: Callable[[str], str],
) -> list[Scored]:
    """Return distinct passages with text, none of which repeats the query."""
    seen, found = {text_key(query)}, []
    listed: Sequence[float | None] = scores or [None] * len(passages)
    for passage, score in zip(passages, listed, strict=True):
        body = clean(passage.text)
        key = text_key(body)
        if body and key not in seen:
            seen.add(key)
            found.append((replace(passage, text=body), score))
    return found


def _problem(query: str, positives: list[Scored], languages: tuple[str, str]) -> tuple[str, str]:
    """Return (reason, value) where a query gives no row, else empty ones."""
    if not query:
        return "no_query", ""
    if not positives:
        return "no_positive", ""
    for language, side in zip(languages, (query, positives[0][0].text), strict=True):
        if not may_be_written(side, language):
            return "wrong_script", f"{language} in {text.dominant_script(side)}"
    return "", ""


def _contradiction(identity: str, source: str, language: str, count: int) -> Reject:
    return Reject(identity, "extract", "negative_is_positive", source, language, str(count))


def _row(
    query: str,
    positives: list[Scored],
    negatives: list[Scored],
    languages: tuple[str, str],
    source: str,
) -> TrainingRow:
    sides = [[passage.text for passage, _ in side] for side in (positives, negatives)]
    scores = [[score for _, score in side] for side in (positives, negatives)]
    named = [[_passage_id(source, p) for p, _ in side] for side in (positives, negatives)]
    complete = all(score is not None for side in scores for score in side)
    return TrainingRow(
        id=text_key(
            source, *languages, query, *sides[0], "", *sides[1], *named[0], *named[1]
        ).hex(),
        query=query,
        positives=sides[0],
        negatives=sides[1],
        relation="labelled",
        source=source,
        query_language=languages[0],
        language=languages[1],
        length=0,
        positive_ids=named[0],
        negative_ids=named[1],
        negative_ranks=[NOT_MINED] * len(sides[1]),
        positive_teacher_scores=[s for s in scores[0] if s is not None] if complete else None,
        negative_teacher_scores=[s for s in scores[1] if s is not None] if complete else None,
    )


def _passage_id(source: str, passage: Passage) -> str:
    return f"{source}:{passage.id}" if passage.id else text_key(passage.text).hex()


def row_texts(row: TrainingRow) -> list[str]:
    """Return the query, the positives and the negatives."""
    return [row.query, *row.positives, *row.negatives]


def query_key(row: TrainingRow) -> bytes:
    """Return the digest under which the rows of one question meet."""
    return text_key(row.query)


def merge_questions(
    rows: Iterable[TrainingRow], rank: Callable[[TrainingRow], tuple[object, ...]]
) -> Iterator[TrainingRow | Reject]:
    """Yield one row per question and languages, and rejects of rows that went into another.

    Rows of one question text lie side by side. Of equal rows the one of the smallest `rank` names
    the result. A passage that is a positive of the question in any row is a negative in none.
    """
    for _, group in groupby(rows, key=query_key):
        same = sorted(group, key=lambda row: (row.query_language, row.language, *rank(row)))
        known = {text_key(t) for row in same for t in row.positives}
        for _, found in groupby(same, key=lambda row: (row.query_language, row.language)):
            yield from _merged(list(found), known)


def _merged(rows: list[TrainingRow], known: set[bytes]) -> Iterator[TrainingRow | Reject]:
    first = rows[0]
    for row in rows[1:]:
        yield Reject(row.id, "write", "merged_query", row.source, row.language, first.id)
    teachers = all(row.positive_teacher_scores is not None for row in rows)
    positives = _distinct(rows, "positive", set())
    negatives = _distinct(rows, "negative", known)
    listed = {text_key(t) for row in rows for t in row.negatives}
    if contradictions := listed & known:
        yield _contradiction(first.id, first.source, first.language, len(contradictions))
    yield replace(
        first,
        id=text_key(first.query, first.query_language, first.language).hex(),
        positives=[t for t, _, _ in positives],
        negatives=[t for t, _, _ in negatives],
        positive_ids=[i for _, i, _ in positives],
        negative_ids=[i for _, i, _ in negatives],
        negative_ranks=[NOT_MINED] * len(negatives),
        positive_teacher_scores=[s for _, _, s in positives] if teachers else None,
        negative_teacher_scores=[s for _, _, s in negatives] if teachers else None,
    )


def _distinct(
    rows: list[TrainingRow], side: str, without: set[bytes]
) -> list[tuple[str, str, float]]:
    """Return the distinct (text, id, teacher score) of one side of all rows, in their order."""
    found: dict[bytes, tuple[str, str, float]] = {}
    for row in rows:
        listed = getattr(row, f"{side}s")
        scores = getattr(row, f"{side}_teacher_scores") or [0.0] * len(listed)
        for item in zip(listed, getattr(row, f"{side}_ids"), scores, strict=True):
            key = text_key(item[0])
            if key not in without:
                found.setdefault(key, item)
    return list(found.values())
