"""Inputs of any size out of the real corpora of a data folder: copies, each with other words.

A *unit* holds a given number of megabytes of text: pages of every Wikipedia dump and passages of
the retrieval corpora as C4 lines, the same mix in every unit. A copy has a third of its words
replaced by other words of the same page, so that it is in the same language and script, costs
the same to clean, and is no near duplicate of the original.
"""

from __future__ import annotations

import gzip
import itertools
import json
import random
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from curation.sources import streams

_PAGE = re.compile(rb"<page>.*?</page>\s*", re.DOTALL)
_NOT_ARTICLE = re.compile(rb"<ns>(?!0<)|<redirect|#REDIRECT", re.IGNORECASE)
_ID = re.compile(r"<id>(\d+)</id>")
# Words of the text, not those of tags, entities, templates, link targets and parameters.
_WORD = re.compile(r"(?<![\w\[{|<&/=:\\])(?<!&lt;)(?<!&lt;/)[^\W\d_]{3,}(?![\w:=|}\]>;])")
_REPLACED = 0.35
MOST_PIECES = 50
"""Files a stream can be dealt out to: it has as many records, so that none is empty."""
_COPY_IDS = 10_000_000
_LANGUAGES = {"ja", "tr", "th", "zh", "ar", "en", "de", "el", "es", "hi", "ro", "ru", "vi"}


@dataclass(frozen=True)
class Record:
    """One page or passage and the file it goes to."""

    stream: str
    text: str
    language: str = ""
    title: str = ""


def base_records(data: Path) -> dict[str, list[Record]]:
    """Return the records of all corpora by stream: a dump each, and `pages`."""
    found: dict[str, list[Record]] = {}
    for path in sorted((data / "wikipedia").glob("*wiki*")):
        if path.is_file():
            name = path.name.partition(".")[0].partition("-")[0]
            found[f"wiki-{name}"] = list(_pages(path, f"wiki-{name}"))
    found["pages"] = list(_passages(data / "retrieval"))
    return {name: records for name, records in found.items() if records}


def dump_heads(data: Path) -> dict[str, str]:
    """Return what stands before the first page of each dump."""
    heads = {}
    for path in sorted((data / "wikipedia").glob("*wiki*")):
        if path.is_file():
            name = path.name.partition(".")[0].partition("-")[0]
            heads[f"wiki-{name}"] = _text(path).partition(b"<page>")[0].decode("utf-8", "replace")
    return heads


def _text(path: Path) -> bytes:
    stream = streams.open_stream(str(path))
    return b"".join(iter(lambda: stream.read(1 << 20), b""))


def _pages(path: Path, stream: str) -> Iterator[Record]:
    for match in _PAGE.finditer(_text(path)):
        if not _NOT_ARTICLE.search(match[0][:2000]):
            yield Record(stream, match[0].decode("utf-8", "replace"))


def _passages(folder: Path) -> Iterator[Record]:
    for path in sorted(folder.glob("*/*/corpus.jsonl.gz")):
        language = path.parent.name.rpartition("-")[2].partition("_")[0]
        if language in _LANGUAGES:
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                for line in lines:
                    row = json.loads(line)
                    yield Record("pages", row["text"], language, row["title"] or row["_id"])


def copy_of(record: Record, number: int) -> Record:
    """Return the record itself for number 0, else a copy with other words, title and id."""
    if number == 0:
        return record
    draw = random.Random(f"{number}{record.text[:200]}")
    words = _WORD.findall(record.text)

    def other(match: re.Match[str]) -> str:
        return draw.choice(words) if draw.random() < _REPLACED else match[0]

    text = _WORD.sub(other, record.text)
    text = text.replace("</title>", f" ({number})</title>", 1)
    text = _ID.sub(lambda m: f"<id>{int(m[1]) + number * _COPY_IDS}</id>", text, count=1)
    title = f"{record.title} ({number})"
    return replace(record, text=text, title=title)


def write_units(data: Path, target: Path, units: int, megabytes: float, pieces: int = 1) -> None:
    """Write the units that are missing: `unit-00/wiki-*.xml.gz`, `unit-00/pages-*.json.gz`."""
    missing = [n for n in range(units) if not (target / f"unit-{n:02d}" / "_SUCCESS").exists()]
    with ProcessPoolExecutor(2) as pool:
        jobs = [pool.submit(write_unit, data, target, n, megabytes, pieces) for n in missing]
        for job in jobs:
            job.result()


def write_unit(data: Path, target: Path, number: int, megabytes: float, pieces: int) -> None:
    """Write one unit, each stream's records dealt out to `pieces` files."""
    folder = target / f"unit-{number:02d}"
    folder.mkdir(parents=True, exist_ok=True)
    heads, base = dump_heads(data), base_records(data)
    total = sum(len(r.text.encode()) for records in base.values() for r in records)
    passes = max(1, round(megabytes * 1e6 / total))
    share = min(1.0, megabytes * 1e6 / total)
    for stream, records in base.items():
        chosen = records[: max(MOST_PIECES, round(len(records) * share))]
        copies = (copy_of(r, number * passes + p) for p in range(passes) for r in chosen)
        _write_stream(folder, stream, heads.get(stream, ""), copies, pieces)
    (folder / "_SUCCESS").touch()


def _write_stream(
    folder: Path, stream: str, head: str, records: Iterator[Record], pieces: int
) -> None:
    suffix = "xml.gz" if head else "json.gz"
    with ExitStack() as stack:
        files: list[IO[str]] = [
            stack.enter_context(
                gzip.open(folder / f"{stream}-{n:02d}.{suffix}", "wt", 1, encoding="utf-8")
            )
            for n in range(pieces)
        ]
        for file in files:
            file.write(head)
        for file, record in zip(itertools.cycle(files), records, strict=False):
            file.write(record.text if head else _line(record))
        for file in files:
            file.write("</mediawiki>\n" if head else "")


def _line(record: Record) -> str:
    text = f"{record.title}\n{record.text}"
    return json.dumps({"text": text, "language": record.language, "url": record.title}) + "\n"
