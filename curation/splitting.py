"""Input files → splits, one unit of work each → raw records."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import IO, cast

import xxhash

from curation import ranges, storage
from curation.config import UNIT_KINDS, WARC_KINDS, CurationConfig, SourceConfig
from curation.inputs import Input
from curation.records import Reject
from curation.sources import readers, streams
from curation.sources.archives import Archive
from curation.sources.raw import RawDocument, RawLabelled, RawPair, RawRedirect, RawTranslation

Raw = RawDocument | RawPair | RawRedirect | RawTranslation | RawLabelled | Reject


@dataclass(frozen=True, slots=True)
class Split:
    """One unit of reading: a file of a source, or the bytes of it from `start` on."""

    source: int
    path: str
    bytes: int
    start: int = 0
    is_whole: bool = True
    unit: Input | None = None
    """What is read, for kinds that read several files together."""

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
        for split in _splits_of(number, source, int(config.split_mb * (1 << 20)))
    ]
    return sorted(splits, key=lambda s: (-s.bytes, s.source, s.path, s.start))


_UNITS = {"wikipedia": "pages"} | dict.fromkeys(("c4", "mc4", "ccnet", "json", "s2orc"), "lines")


def _splits_of(number: int, source: SourceConfig, most: int) -> Iterator[Split]:
    if source.kind in UNIT_KINDS:
        yield from _unit_splits(number, source)
        return
    for path in storage.expand(source.path):
        yield from _ranges_of(number, source, path, most)


def _ranges_of(number: int, source: SourceConfig, path: str, most: int) -> list[Split]:
    if source.kind == "wikipedia" and ranges.is_index(path):
        return []
    unit = "" if source.members else _UNITS.get(source.kind, "")
    found = ranges.ranges(path, storage.size_of(path), unit, most)
    return [Split(number, path, stop - start, start, len(found) == 1) for start, stop in found]


def _unit_splits(number: int, source: SourceConfig) -> Iterator[Split]:
    from curation import reading

    for unit in reading.units_of(source):
        known = [path for path in unit.files if storage.exists(path)]  # a name on the hub does not
        path = unit.path if unit.shards == 1 else f"{unit.path}#{unit.shard}-of-{unit.shards}"
        yield Split(number, path, sum(map(storage.size_of, known)), unit=unit)


def input_files(config: CurationConfig) -> list[str]:
    """Return the files that the sources read, in their order."""
    from curation import reading

    return [
        path
        for source in config.sources
        for path in (
            reading.watched_files(source)
            if source.kind in UNIT_KINDS
            else storage.expand(source.path)
        )
    ]


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
        if self._split.unit:
            yield from self._read_unit(self._split.unit)
            return
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

    def _read_unit(self, unit: Input) -> Iterator[Raw]:
        from curation import reading
        from curation.sources.opener import Opener

        opener = Opener()
        self._position = lambda: opener.position
        found = False
        for record in reading.read_input(unit, self._source, opener):
            found = True
            yield record
        for path, damage in opener.damage.items():
            yield self._damage(f"{damage}_file", path=path)
        if not (found or opener.damage):
            yield self._damage("no_records")
        self._position = lambda: self._split.bytes

    def _damage(self, reason: str, offset: int = 0, member: str = "", path: str = "") -> Reject:
        name = (path or self._split.path).rsplit("/", 1)[-1]
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
