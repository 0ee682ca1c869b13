"""Texts of the data folder for the benchmarks, read through the sources; nothing is copied."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from curation.config import SourceConfig
from curation.extract import assemble
from curation.sources.raw import RawDocument
from curation.splitting import Split, SplitReader

DUMPS = {
    "en": "enwiki-*.xml.bz2",
    "it": "itwiki-*.xml.gz",
    "uk": "ukwiki.xml.xz",
    "el": "elwiki.xml.xz",
    "mr": "mrwiki.xml.xz",
    "bn": "bnwiki.xml.xz",
    "ja": "jawiki.xml.xz",
    "ltg": "ltgwiki-*.xml.gz",
}
PASSAGES = {"ar": "arcd-train-ar", "th": "iapp-train-th", "zh": "drcd-dev-zh_Hant"}


def json_lines(path: Path) -> Iterator[dict[str, str]]:
    """Read the rows of a gzip file of JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as handle:
        yield from map(json.loads, handle)


def articles(data: Path, name: str, count: int, least: int = 600) -> list[str]:
    """Return the first `count` texts of a language with at least `least` characters."""
    if name in PASSAGES:
        path = data / "retrieval" / "train" / PASSAGES[name] / "corpus.jsonl.gz"
        texts = [row["text"] for row in json_lines(path)]
        return [text for text in texts if len(text) >= least // 3][:count]
    path = next((data / "wikipedia").glob(DUMPS[name]))
    source = SourceConfig(kind="wikipedia", path=str(path))
    reader = SplitReader(Split(0, str(path), path.stat().st_size), source)
    texts = (assemble(r, "wiki").text for r in reader if isinstance(r, RawDocument))
    return list(islice((text for text in texts if len(text) >= least), count))
