"""Raw records → cleaned documents, pairs, labelled rows and rejects: the part that reads text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from curation import pii, text
from curation.config import CurationConfig, SourceConfig
from curation.draw import is_drawn
from curation.labelled import Labeller
from curation.language import LanguageDetector
from curation.language_codes import fits_script
from curation.pair_filters import TranslationFilter
from curation.phrases import load_word_lists
from curation.quality import fill_scores
from curation.records import Document, Pair, Reject, Section, TrainingRow, text_key
from curation.redirects import Redirect, title_key
from curation.sources.raw import RawDocument, RawLabelled, RawPair, RawRedirect, RawTranslation
from curation.splitting import Raw
from curation.translations import translation_pairs

Cleaned = Document | Pair | Redirect | Reject | None
_SCORED_AT_ONCE = 1 << 18  # characters
_CODE = re.compile(r"[A-Za-z]{2,8}(?:[-_@][A-Za-z0-9]{1,8})*")


def language_code(declared: Any) -> str:
    """Return the language that data declare, "" for what is no code: a field may hold anything."""
    return declared if isinstance(declared, str) and _CODE.fullmatch(declared) else ""


class Cleaner:
    """Turns raw records into documents and pairs, or rejects them; build it once per process.

    Documents leave with their scores, whatever these say: `filters.Decider` decides on them.
    """

    def __init__(self, config: CurationConfig) -> None:
        self._config = config
        self._detector = LanguageDetector()
        self._word_lists = load_word_lists(config.word_lists)
        self._translations = TranslationFilter(config.parallel, self._detector)
        self._labeller = Labeller(self._detector)
        self.masked: Counter[str] = Counter()
        """Masks set so far, by what they stand for."""

    def clean_all(
        self, raws: Iterable[Raw], source: SourceConfig
    ) -> Iterator[Cleaned | TrainingRow]:
        """Yield what raw records give, documents scored in batches and so a little later.

        A translation gives two pairs, every other record one, rejects aside.
        """
        held: list[Document] = []
        size = 0
        for raw in raws:
            if isinstance(raw, RawTranslation | RawLabelled):
                yield from self._pair_shaped(raw, source)
                continue
            record = self.clean(raw, source)
            if not isinstance(record, Document):
                yield record
                continue
            held.append(record)
            size += len(record.text)
            if size > _SCORED_AT_ONCE:
                self.score(held)
                yield from held
                held, size = [], 0
        self.score(held)
        yield from held

    def _pair_shaped(
        self, raw: RawTranslation | RawLabelled, source: SourceConfig
    ) -> Iterator[Pair | TrainingRow | Reject | None]:
        mask = self._masked if self._config.mask_pii else None
        if isinstance(raw, RawTranslation):
            yield from translation_pairs(raw, source, self._translations, mask)
        else:
            yield from self._labeller.rows(raw, source, mask)

    def score(self, documents: list[Document]) -> None:
        """Set the quality scores of documents."""
        fill_scores(documents, self._word_lists)

    def clean(
        self, raw: RawDocument | RawPair | RawRedirect | Reject, source: SourceConfig
    ) -> Cleaned:
        """Return a record, not scored yet, or a reject; None for one that the sample leaves out."""
        code = language_code(raw.language)
        if isinstance(raw, Reject):
            raw.language = code
            return raw
        raw.language = code or None
        if isinstance(raw, RawRedirect):
            target = title_key(source.label, raw.language, raw.target)
            return Redirect(raw.id, source.label, code, text.one_line(raw.title), target)
        if isinstance(raw, RawPair):
            pair = self._pair(raw, source)
            return (
                pair
                if isinstance(pair, Reject) or is_drawn(pair.id, "source", source.sample)
                else None
            )
        if not is_drawn(raw.id, "source", source.sample):
            return None
        return self._document(raw, source)

    def _document(self, raw: RawDocument, source: SourceConfig) -> Document | Reject:
        if not raw.sections:
            language = raw.language or ""
            return Reject(raw.id, "extract", "missing_abstract", source.label, language, raw.title)
        length = sum(len(section.text) for section in raw.sections)
        if length > self._config.max_document_characters:
            excerpt = raw.sections[0].text[:200]
            reject = Reject(raw.id, "extract", "document_too_long", source.label)
            reject.language, reject.value, reject.excerpt = raw.language or "", str(length), excerpt
            return reject
        masked = self._mask(raw) if self._config.mask_pii else 0
        document = assemble(raw, source.label)
        document.quality["masked"] = masked
        verdict = self._detector.detect(document.text, raw.language)
        document.language = verdict.language
        document.language_score = verdict.score
        document.language_agreement = verdict.agreement
        document.script = verdict.script
        document.text_hash = text_key(document.text)
        return document

    def _mask(self, raw: RawDocument) -> int:
        """Mask personal data of a document; return how many masks that took."""
        before = self.masked.total()
        raw.title, raw.abstract = self._masked(raw.title), self._masked(raw.abstract)
        for section in raw.sections:
            section.heading = self._masked(section.heading)
            section.text = self._masked(section.text)
        return self.masked.total() - before

    def _masked(self, value: str) -> str:
        value, found = pii.mask(value)
        self.masked.update(found)
        return value

    def _identify(self, raw: RawPair, query: str, positive: str) -> None:
        """Fill in the languages of a pair that declares none."""
        if raw.language is None:
            raw.language = self._detector.detect(positive).language
        if not language_code(raw.query_language):
            raw.query_language = self._detector.detect(query, raw.language).language

    def _pair(self, raw: RawPair, source: SourceConfig) -> Pair | Reject:
        query, positive = text.one_line(raw.query), text.one_line(raw.positive)
        if raw.relation == "instruction-output":
            positive = text.normalise(raw.positive)  # an output may have paragraphs
            self._identify(raw, query, positive)
        if self._config.mask_pii:
            query, positive = self._masked(query), self._masked(positive)
        languages = language_code(raw.query_language) or "und", raw.language or "und"
        for side, language in zip((query, positive), languages, strict=True):
            script = text.dominant_script(side)
            if not fits_script(language, script):
                value = f"{language} in {script}"
                return Reject(
                    f"{source.label}:{raw.id or query[:60]}",
                    "extract",
                    "wrong_script",
                    source.label,
                    language,
                    value,
                    side[:200],
                )
        return Pair(query, positive, raw.relation, *languages, source.label)


def assemble(raw: RawDocument, source: str) -> Document:
    """Join a raw document's sections into one normalised text and record where each lies."""
    pieces: list[str] = []
    sections: list[Section] = []
    position = 0
    for section in raw.sections:
        heading, body = text.one_line(section.heading), text.normalise(section.text)
        if heading:
            pieces.append(heading)
            position += len(heading) + 1
        if body:
            sections.append(Section(heading, section.level, position, position + len(body)))
            pieces.append(body)
            position += len(body) + 1
    return Document(
        id=raw.id,
        source=source,
        title=text.one_line(raw.title),
        text="\n".join(pieces),
        declared_language=raw.language,
        abstract=text.normalise(raw.abstract),
        sections=sections,
        url=raw.url,
        date=raw.date,
    )
