"""One input file → cleaned documents, pairs and rejects: the part of curation that reads text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any

import xxhash

from curation import pii, storage, text
from curation.config import WARC_KINDS, CurationConfig, SourceConfig
from curation.draw import is_drawn
from curation.language import LanguageDetector, fits_script
from curation.phrases import load_word_lists
from curation.quality import fill_scores
from curation.records import Document, Pair, Reject, Section, text_key
from curation.sources import readers, streams
from curation.sources.archives import Archive
from curation.sources.raw import RawDocument, RawPair

Raw = RawDocument | RawPair | Reject
_SCORED_AT_ONCE = 1 << 18  # characters
_CODE = re.compile(r"[A-Za-z]{2,8}(?:[-_@][A-Za-z0-9]{1,8})*")


def language_code(declared: Any) -> str:
    """Return the language that data declare, "" for what is no code: a field may hold anything."""
    return declared if isinstance(declared, str) and _CODE.fullmatch(declared) else ""


@dataclass(frozen=True, slots=True)
class Split:
    """One unit of reading: a file of a source."""

    source: int
    path: str
    bytes: int

    @property
    def element(self) -> str:
        """The split's name among the elements of work."""
        return xxhash.xxh3_64_hexdigest(f"{self.source}\0{self.path}".encode())


def list_splits(config: CurationConfig) -> list[Split]:
    """Return the splits of all sources, the largest first so that no worker ends last alone."""
    splits = [
        Split(number, path, storage.size_of(path))
        for number, source in enumerate(config.sources)
        for path in storage.expand(source.path)
    ]
    return sorted(splits, key=lambda s: (-s.bytes, s.source, s.path))


class SplitReader:
    """Iterates over the raw records of a split; `share` tells how far it has read (0..1)."""

    def __init__(self, split: Split, source: SourceConfig) -> None:
        self._split = split
        self._source = source
        self._position: Callable[[], int] = lambda: 0

    @property
    def share(self) -> float:
        """The share of the file's bytes consumed so far."""
        return min(1.0, self._position() / max(1, self._split.bytes))

    def __iter__(self) -> Iterator[Raw]:
        if self._source.kind in WARC_KINDS:
            yield from self._warc()
        elif self._source.members:
            yield from self._archive()
        else:
            stream = streams.open_stream(self._split.path)
            self._position = lambda: stream.position
            yield from self._file(stream, self._split.path)

    def _warc(self) -> Iterator[Raw]:
        found = False
        with storage.open_read(self._split.path) as raw:
            self._position = raw.tell
            for page in readers.read_warc(raw, self._source):
                found = True
                yield page
            self._position = lambda: self._split.bytes
        if not found:  # an empty file, or one without such records (WAT)
            yield self._damage("no_records")

    def _archive(self) -> Iterator[Raw]:
        found = False
        with Archive(self._split.path, self._source.members) as archive:
            self._position = lambda: archive.position
            for name, member in archive:
                found = True
                yield from self._file(streams.DecompressedStream(member), name, name)
            self._position = lambda: self._split.bytes
        if archive.damage or not found:
            yield self._damage(f"{archive.damage}_file" if archive.damage else "no_members")

    def _file(
        self, stream: streams.DecompressedStream, path: str, member: str = ""
    ) -> Iterator[Raw]:
        with streams.transcoded(stream) as decoded:
            found = False
            for record in self._read(decoded, path):
                found = True
                yield record
        if stream.damage or not found:
            yield self._damage(f"{stream.damage}_file" if stream.damage else "no_records", member)

    def _damage(self, reason: str, member: str = "") -> Reject:
        name = self._split.path.rsplit("/", 1)[-1] + (f"!{member}" if member else "")
        return Reject(f"{self._source.label}:{name}", "extract", reason, self._source.label)

    def _read(self, stream: IO[bytes], path: str) -> Iterator[Raw]:
        label, language = self._source.label, self._source.language
        match self._source.kind:
            case "wikipedia":
                from curation.sources import wikipedia

                return wikipedia.read_articles(stream, label, language)
            case "po":
                from curation.sources import parallel

                return parallel.read_po(stream, label, language)
        return readers.read_rows(stream, self._source, path)


class Cleaner:
    """Turns raw records into documents and pairs, or rejects them; build it once per process.

    Documents leave with their scores, whatever these say: `filters.Decider` decides on them.
    """

    def __init__(self, config: CurationConfig) -> None:
        self._config = config
        self._detector = LanguageDetector()
        self._word_lists = load_word_lists(config.word_lists)
        self.masked: Counter[str] = Counter()
        """Masks set so far, by what they stand for."""

    def clean_all(
        self, raws: Iterable[Raw], source: SourceConfig
    ) -> Iterator[Document | Pair | Reject | None]:
        """Yield one record for each raw one, documents scored in batches and so a little later."""
        held: list[Document] = []
        size = 0
        for raw in raws:
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

    def score(self, documents: list[Document]) -> None:
        """Set the quality scores of documents."""
        fill_scores(documents, self._word_lists)

    def clean(self, raw: Raw, source: SourceConfig) -> Document | Pair | Reject | None:
        """Return a record, not scored yet, or a reject; None for one that the sample leaves out."""
        code = language_code(raw.language)
        if isinstance(raw, Reject):
            raw.language = code
            return raw
        raw.language = code or None
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
