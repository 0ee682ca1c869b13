"""Articles per core-second of the Wikipedia path, with what dominates.

    python benchmarks/wikipedia.py DUMP [DUMP ...] [--profile] [--peer PYTHON]

Prints for each dump: the wikitext scanner alone, bytes to extracted articles (decompression, XML,
wikitext), and the whole extraction (language, scores, digests too). CPU seconds of one process.
`--peer` names the interpreter of an environment with `nemo-curator[text-cpu]`: its reader and
extractor go over the same dumps, and the ratio is of seconds for the same dump.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from curation.config import CurationConfig, SourceConfig
from curation.extract import Cleaner
from curation.records import Document
from curation.sources import wikipedia, wikitext
from curation.sources.raw import RawDocument
from curation.splitting import Split, SplitReader


def scanner_seconds(path: str) -> tuple[int, int, float]:
    """Return (pages, characters, CPU seconds) of `wikitext.parse` over a dump's pages."""
    pages: list[tuple[str, object, str]] = []
    parse = wikitext.parse

    def note(text: str, site: object, title: str = "") -> list[wikitext.Block]:
        pages.append((text, site, title))
        return parse(text, site, title)  # type: ignore[arg-type]

    wikipedia.wikitext.parse = note  # type: ignore[assignment]
    articles(path)
    wikipedia.wikitext.parse = parse
    start = time.process_time()
    for text, site, title in pages:
        parse(text, site, title)  # type: ignore[arg-type]
    return len(pages), sum(len(text) for text, _, _ in pages), time.process_time() - start


def articles(path: str) -> int:
    """Read a dump to extracted articles."""
    source = SourceConfig(kind="wikipedia", path=path)
    split = Split(0, path, os.path.getsize(path))
    return sum(isinstance(record, RawDocument) for record in SplitReader(split, source))


def documents(path: str, cleaner: Cleaner) -> int:
    """Read a dump to cleaned, identified and scored documents."""
    source = SourceConfig(kind="wikipedia", path=path)
    reader = SplitReader(Split(0, path, os.path.getsize(path)), source)
    return sum(isinstance(record, Document) for record in cleaner.clean_all(reader, source))


def best(count: Callable[[], int], rounds: int = 3) -> tuple[int, float]:
    """Return what `count` counts and the least CPU seconds of some rounds."""
    least, found = float("inf"), 0
    for _ in range(rounds):
        start = time.process_time()
        found = count()
        least = min(least, time.process_time() - start)
    return found, least


def peer_rows(python: str, dumps: list[str]) -> dict[str, dict[str, Any]]:
    """Return what the peer's extractor made of each dump."""
    command = [python, str(Path(__file__).with_name("wikipedia_peer.py")), *dumps]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"dump"')]
    return {row["dump"]: row for row in map(json.loads, lines)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dumps", nargs="+")
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter with nemo-curator")
    arguments = parser.parse_args()
    peer = peer_rows(arguments.peer, arguments.dumps) if arguments.peer else {}
    cleaner = Cleaner(CurationConfig())
    for path in arguments.dumps:
        documents(path, cleaner)  # engines and caches are warm
        pages, characters, seconds = scanner_seconds(path)
        read, reading = best(lambda path=path: articles(path))
        kept, whole = best(lambda path=path: documents(path, cleaner))
        print(
            f"{os.path.basename(path)[:24]:24}  scanner {pages / seconds:6.0f} pages/s "
            f"{characters / 1e6 / seconds:5.1f} Mchar/s   extracted {read / reading:6.1f}/s   "
            f"whole {kept / whole:6.1f} documents/s"
        )
        if row := peer.get(os.path.basename(path)):
            print(
                f"{'':24}  peer {row['articles']} articles, {row['articles'] / row['s']:.1f}/s, "
                f"markup left in {row['left']}; extraction {row['s'] / reading:.2f}x, "
                f"whole {row['s'] / whole:.2f}x as fast"
            )
        if arguments.profile:
            profile = cProfile.Profile()
            profile.runcall(documents, path, cleaner)
            pstats.Stats(profile).sort_stats("tottime").print_stats(15)


if __name__ == "__main__":
    main()
