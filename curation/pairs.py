"""Documents → training pairs: title-body, title-abstract and section pairs (paper, section 3.1)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from curation.errors import ConfigError, check_range, unknown_name
from curation.records import Document, Pair, Reject
from curation.shuffle import shuffled
from curation.text import UNSPACED, WORD

_RELATIONS = ("title-body", "title-abstract", "section", "citation")


@dataclass(frozen=True, kw_only=True, slots=True)
class PairConfig:
    """Which pairs documents give, and what a pair must be like."""

    relations: tuple[str, ...] = _RELATIONS
    """The relations to build."""
    min_positive_characters: int = 100
    """Positives shorter than this are rejected; a third of it in scripts without spaces."""
    max_positive_characters: int = 60_000
    """Longer positives are cut here (about twice 8,192 tokens of English)."""
    max_query_characters: int = 300
    """Longer titles are rejected: they are sentences."""
    max_title_frequency: int = 10
    """A title of more documents of one source, with different texts, says nothing; 0: no limit."""
    max_pairs_per_domain: int = 0
    """Pairs kept of one host, chosen by hash, but for Wikipedia; 0: no limit."""
    max_citations: int = 20
    """Citation pairs of one cited paper; famous papers would crowd out the rest."""
    redirects_per_document: int = 3
    """Title-body pairs from redirects to an article, at most; 0 leaves redirects out."""
    segment_shuffle: float = 0.002
    """Share of the positives over 100 characters whose segments change places (paper, A.1)."""

    def __post_init__(self) -> None:
        for relation in self.relations:
            if relation not in _RELATIONS:
                raise ConfigError(unknown_name("curation.pairs.relations", relation, _RELATIONS))
        check_range("curation.pairs.min_positive_characters", self.min_positive_characters, 1, 1e6)
        check_range("curation.pairs.max_positive_characters", self.max_positive_characters, 1, 1e8)
        check_range("curation.pairs.max_query_characters", self.max_query_characters, 1, 1e5)
        check_range("curation.pairs.max_title_frequency", self.max_title_frequency, 0, 1e9)
        check_range("curation.pairs.max_pairs_per_domain", self.max_pairs_per_domain, 0, 1e9)
        check_range("curation.pairs.max_citations", self.max_citations, 1, 1e6)
        check_range("curation.pairs.redirects_per_document", self.redirects_per_document, 0, 1000)
        check_range("curation.pairs.segment_shuffle", self.segment_shuffle, 0.0, 1.0)

    @property
    def uses_redirects(self) -> bool:
        """Tell whether redirects give pairs."""
        return self.redirects_per_document > 0 and "title-body" in self.relations


def document_pairs(
    document: Document,
    config: PairConfig,
    *,
    has_generic_title: bool = False,
    alternative_titles: Sequence[str] = (),
) -> Iterator[Pair | Reject]:
    """Yield the pairs of a document, or the reason why a possible pair was not taken."""
    others = (("title-body", title, document.text) for title in alternative_titles)
    for relation, query, positive in (*_candidates(document, config.relations), *others):
        reason = _reject_reason(query, positive, document, config)
        if not reason and has_generic_title:
            reason = "generic_title"
        if reason:
            identity = f"{document.id}#{relation}"
            yield Reject(identity, "pairs", reason, document.source, document.language, query[:200])
            continue
        pair = Pair(
            query=query,
            positive=positive[: config.max_positive_characters],
            relation=relation,
            query_language=document.language,
            language=document.language,
            source=document.source,
            document_id=document.id,
        )
        yield with_shuffled_segments(pair, config.segment_shuffle)


def with_shuffled_segments(pair: Pair, share: float) -> Pair:
    """Shuffle the segments of a drawn pair's positive; its id stays that of the text in order."""
    text = shuffled(pair.positive, pair.id, share)
    if text == pair.positive:
        return pair
    return dataclasses.replace(pair, positive=text, segments_shuffled=True)


def _candidates(document: Document, relations: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    whole = document.abstract == document.text and "title-abstract" in relations
    if "title-body" in relations and not whole:
        yield "title-body", document.title, without_title(document.title, document.text)
    if "title-abstract" in relations and document.abstract:
        abstract = without_title(document.title, document.abstract)
        yield "title-abstract", document.title, abstract
    if "section" in relations:
        for section in document.sections:
            query = f"{document.title}: {section.heading}" if section.heading else ""
            if query:
                yield "section", query, document.text[section.start : section.end]


def without_title(title: str, text: str) -> str:
    """Return the text without a first line that repeats the title or says little more.

    A query that stands in its answer verbatim teaches to match strings. A first line of more
    than 1.5 times the title is a sentence about it, as in encyclopedias, and stays.
    """
    line, _, rest = text.partition("\n")
    if not title or len(line) > 4 + 1.5 * len(title):
        return text
    folded, wanted = _folded(line), _folded(title)
    repeats = folded == wanted or f" {wanted} " in f" {folded} "
    return rest.lstrip("\n") if wanted and repeats else text


def _folded(text: str) -> str:
    return " ".join(WORD.findall(text.casefold()))


def _reject_reason(query: str, positive: str, document: Document, config: PairConfig) -> str:
    least = config.min_positive_characters
    if document.script in UNSPACED:
        least = least // 3
    if not query:
        return "no_title"
    if len(query) > config.max_query_characters:
        return "title_too_long"
    if not positive or query.casefold() == positive[: len(query) + 2].strip().casefold():
        return "title_is_text"
    if len(positive) < least:
        return "positive_too_short"
    return ""
