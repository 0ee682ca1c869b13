"""One input file → cleaned documents, pairs and rejects: the part of curation that reads text."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import IO, Any, cast

import xxhash

from curation import pii, ranges, storage, text
from curation.config import WARC_KINDS, CurationConfig, SourceConfig
from curation.draw import is_drawn
from curation.language import LanguageDetector
from curation.language_codes import fits_script
from curation.phrases import load_word_lists
from curation.quality import fill_scores
from curation.records import Document, Pair, Reject, Section, text_key
from curation.redirects import Redirect, title_key
from curation.sources import readers, streams
from curation.sources.archives import Archive
from curation.sources.raw import RawDocument, RawPair, RawRedirect

Raw = RawDocument | RawPair | RawRedirect | Reject
Cleaned = Document | Pair | Redirect | Reject | None
_SCORED_AT_ONCE = 1 << 18  # characters
_CODE = re.compile(r"[A-Za-z]{2,8}(?:[-_@][A-Za-z0-9]{1,8})*")


def language_code(declared: Any) -> str:
    """Return the language that data declare, "" for what is no code: a field may hold anything."""
    return declared if isinstance(declared, str) and _CODE.fullmatch(declared) else ""


@dataclass(frozen=True, slots=True)
class Split:
    """One unit of reading: a file of a source, or the bytes of it from `start` on."""

    source: int
    path: str
    bytes: int
    start: int = 0
    is_whole: bool = True

    @property
    def stop(self) -> int:
        """The offset behind the split's last byte."""
        return self.start + self.bytes

    @property
    def element(self) -> str:
        """The split's name among the elements of work."""
        where = "" if self.is_whole else f"\0{self.start}\0{self.bytes}"
        return xxhash.xxh3_64_hexdigest(f"{self.source}\0{self.path}{where}".encode())


def list_splits(config: CurationConfig) -> list[Split]:
    """Return the splits of all sources, the largest first so that no worker ends last alone."""
    splits = [
        split
        for number, source in enumerate(config.sources)
        for path in storage.expand(source.path)
        for split in _splits_of(number, source, path, int(config.split_mb * (1 << 20)))
    ]
    return sorted(splits, key=lambda s: (-s.bytes, s.source, s.path, s.start))


_UNITS = {"wikipedia": "pages"} | dict.fromkeys(("c4", "mc4", "ccnet", "json", "s2orc"), "lines")


def _splits_of(number: int, source: SourceConfig, path: str, most: int) -> list[Split]:
    if source.kind == "wikipedia" and ranges.is_index(path):
        return []
    unit = "" if source.members else _UNITS.get(source.kind, "")
    found = ranges.ranges(path, storage.size_of(path), unit, most)
    return [Split(number, path, stop - start, start, len(found) == 1) for start, stop in found]


class SplitReader:
    """Iterates over the raw records of a split; `share` tells how far it has read (0..1)."""

    def __init__(self, split: Split, source: SourceConfig) -> None:
        self._split = split
        self._source = source
        self._position: Callable[[], int] = lambda: split.start

    @property
    def share(self) -> float:
        """The share of the split's bytes consumed so far."""
        done = self._position() - self._split.start
        return max(0.0, min(1.0, done / max(1, self._split.bytes)))

    def __iter__(self) -> Iterator[Raw]:
        found = False
        records = self._records_of_kind()
        with closing(records):
            for record in records:
                found = True
                yield record
        self._position = lambda: self._split.stop
        if not found and self._is_without_records():
            yield self._damage("no_records")

    def _is_without_records(self) -> bool:
        """Tell whether the whole file has no record; of several splits the first one does."""
        if self._split.is_whole:
            return True
        if self._split.start:
            return False
        whole = Split(self._split.source, self._split.path, storage.size_of(self._split.path))
        with closing(SplitReader(whole, self._source)._records()) as records:
            return next(records, None) is None

    def _records_of_kind(self) -> Generator[Raw, None, None]:
        if self._source.kind in WARC_KINDS:
            return self._warc()
        return self._archive() if self._source.members else self._records()

    def _warc(self) -> Generator[Raw, None, None]:
        with storage.open_read(self._split.path) as raw:
            self._position = raw.tell
            yield from readers.read_warc(raw, self._source)
            self._position = lambda: self._split.stop

    def _archive(self) -> Generator[Raw, None, None]:
        found = False
        with Archive(self._split.path, self._source.members) as archive:
            self._position = lambda: archive.position
            for name, member in archive:
                found = True
                yield from self._member(name, streams.DecompressedStream(member))
            self._position = lambda: self._split.stop
        if archive.damage or not found:
            yield self._damage(f"{archive.damage}_file" if archive.damage else "no_members")

    def _member(self, name: str, stream: streams.DecompressedStream) -> Iterator[Raw]:
        found = False
        with streams.transcoded(stream) as decoded:
            for record in self._read(decoded, stream.bounds, name):
                found = True
                yield record
        if stream.damage or not found:
            reason = f"{stream.damage}_file" if stream.damage else "no_records"
            yield self._damage(reason, member=name)

    def _records(self) -> Generator[Raw, None, None]:
        split = self._split
        if not split.is_whole and _UNITS[self._source.kind] == "lines":
            raw = storage.open_read(split.path)
            window = streams.LineWindow(raw, split.start, split.stop)
            self._position = lambda: window.position
            with io.BufferedReader(window, streams.CHUNK) as lines:
                yield from self._read(lines, None)
            return
        stop = None if split.is_whole else split.stop
        stream = streams.open_stream(split.path, split.start, stop)
        self._position = lambda: stream.position
        with streams.transcoded(stream) as decoded:
            yield from self._read(decoded, stream.bounds)
        for damage in stream.damages:
            yield self._damage(f"{damage.kind}_file", damage.offset)

    def _damage(self, reason: str, offset: int = 0, member: str = "") -> Reject:
        name = self._split.path.rsplit("/", 1)[-1]
        name += f"!{member}" if member else f"@{offset}" if offset else ""
        return Reject(f"{self._source.label}:{name}", "extract", reason, self._source.label)

    def _read(
        self, stream: IO[bytes], bounds: streams.Bounds | None, path: str = ""
    ) -> Iterator[Raw]:
        label, language = self._source.label, self._source.language
        match self._source.kind:
            case "wikipedia":
                return self._read_wikipedia(stream, bounds)
            case "po":
                from curation.sources import parallel

                return parallel.read_po(stream, label, language)
        path = path or self._split.path
        return readers.read_rows(stream, self._source, path, lines=not self._split.is_whole)

    def _read_wikipedia(self, stream: IO[bytes], bounds: streams.Bounds | None) -> Iterator[Raw]:
        from curation.sources import wikipedia

        head = None
        if self._split.start:
            with streams.open_stream(self._split.path) as beginning:
                head = wikipedia.read_head(cast("IO[bytes]", beginning))
        label, language = self._source.label, self._source.language
        return wikipedia.read_articles(stream, label, language, bounds, head)


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

    def clean_all(self, raws: Iterable[Raw], source: SourceConfig) -> Iterator[Cleaned]:
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

    def clean(self, raw: Raw, source: SourceConfig) -> Cleaned:
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
