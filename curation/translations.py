"""Translations → pairs in both directions."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from curation import text
from curation.config import SourceConfig
from curation.draw import is_drawn
from curation.language_codes import canonical_code
from curation.pair_filters import TranslationFilter, measured
from curation.records import Pair, Reject, text_key
from curation.sources.raw import RawTranslation


def translation_pairs(
    raw: RawTranslation,
    source: SourceConfig,
    wanted: TranslationFilter,
    mask: Callable[[str], str] | None = None,
) -> Iterator[Pair | Reject | None]:
    """Yield the two pairs of a translation, one reject, or None if the sample leaves it out.

    `mask` takes personal data out of each side.
    """
    if raw.language is None or raw.translation_language is None:
        yield Reject(raw.id, "extract", "no_language", source.label, "", "", raw.text[:200])
        return
    sides = [text.one_line(side) for side in (raw.text, raw.translation)]
    if mask:
        sides = [mask(side) for side in sides]
    first = measured(sides[0], canonical_code(raw.language))
    second = measured(sides[1], canonical_code(raw.translation_language))
    if not is_drawn(text_key(first.text, second.text).hex(), "source", source.sample):
        yield None
        return
    found = wanted.finding(first, second)
    if found:
        yield Reject(
            raw.id,
            "extract",
            found.reason,
            source.label,
            found.side.language,
            found.value,
            found.side.text[:200],
        )
        return
    for query, positive in ((first, second), (second, first)):
        yield Pair(
            query.text,
            positive.text,
            "parallel",
            query.language,
            positive.language,
            source.label,
            source_score=raw.score,
        )
