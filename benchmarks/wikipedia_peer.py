"""CPU seconds of a peer's Wikipedia extractor over dumps, and what markup it leaves.

    PEER/bin/python benchmarks/wikipedia_peer.py DUMP [DUMP ...]

runs in an environment with `nemo-curator[text-cpu]`; prints a JSON line per dump. Its reader takes
bz2 only, so that other dumps are compressed again first, outside the time.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

from nemo_curator.stages.text.download.wikipedia.extract import WikipediaExtractor
from nemo_curator.stages.text.download.wikipedia.iterator import WikipediaIterator

_OPEN = {".xz": lzma.open, ".gz": gzip.open}
_LEFT = re.compile(r"\(\s*[,;]?\s*\)|\{\{|\[\[|\|thumb|^\s*(?:Category|Categoria):", re.MULTILINE)


def as_bz2(path: Path, folder: str) -> Path:
    if path.suffix == ".bz2":
        return path
    target = Path(folder) / f"{path.stem}.bz2"
    with _OPEN[path.suffix](path, "rb") as source, bz2.open(target, "wb") as copy:
        shutil.copyfileobj(source, copy)
    return target


def extract(path: Path, language: str) -> tuple[int, int]:
    """Return the number of articles and of those with markup left in them."""
    iterator, extractor = WikipediaIterator(language), WikipediaExtractor(language)
    texts = []
    with suppress(ElementTree.ParseError):  # it raises where a truncated dump ends
        for record in iterator.iterate(str(path)):
            if (found := extractor.extract(record)) is not None:
                texts.append(found["text"])
    return len(texts), sum(bool(_LEFT.search(text)) for text in texts)


def main() -> None:
    for name in sys.argv[1:]:
        path = Path(name)
        with tempfile.TemporaryDirectory() as folder:
            dump = as_bz2(path, folder)
            start = time.process_time()
            articles, left = extract(dump, path.name.partition("wiki")[0])
            seconds = time.process_time() - start
        print(json.dumps({"dump": path.name, "articles": articles, "left": left, "s": seconds}))


if __name__ == "__main__":
    main()
