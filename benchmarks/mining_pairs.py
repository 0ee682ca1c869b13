"""Real (query, passage) pairs of the data folder, read in place: nothing is copied.

The passages are those of the retrieval sets and the paragraphs of the English and the Italian
Wikipedia and of a handbook in twelve languages, as far as they are in Latin script, which the
English encoder of the comparison can read. Each gets one query that no other passage has: a
question that it answers, else its title, else its first sentence.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import tarfile
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.real_texts import articles, json_lines
from curation import manifest, storage
from curation.records import PAIR, Pair, to_table

_SENTENCE = re.compile(r".+?(?:[.!?](?=\s)|[。！？]|$)", re.DOTALL)


GUIDES = ("en", "de", "fr", "es", "it", "nl", "pt", "sv", "da", "cs", "ro", "ca")


class Passage(NamedTuple):
    """A passage with its title and the questions that it answers."""

    identity: str
    title: str
    text: str
    questions: tuple[str, ...]


def folded(text: str) -> str:
    """Return a text without case and spacing, as the miner compares texts."""
    return " ".join(text.casefold().split())


def passages_of(folder: Path) -> Iterator[Passage]:
    """Return the passages of a set in BEIR's layout."""
    text_of = {row["_id"]: row["text"] for row in json_lines(folder / "queries.jsonl.gz")}
    questions: dict[str, list[str]] = {}
    for line in (folder / "qrels.tsv").read_text().splitlines()[1:]:
        query, passage, _ = line.split("\t")
        questions.setdefault(passage, []).append(text_of[query])
    if not (folder / "corpus.jsonl.gz").exists():
        return  # it shares the corpus of another set
    for row in json_lines(folder / "corpus.jsonl.gz"):
        found = tuple(questions.get(row["_id"], ()))
        yield Passage(row["_id"], row.get("title", ""), row["text"], found)


def retrieval_passages(data: Path) -> Iterator[Passage]:
    """Return the passages of all sets, training sets first; a text may come again."""
    for qrels in sorted(data.glob("retrieval/*/*/qrels.tsv"), reverse=True):
        yield from passages_of(qrels.parent)


def paragraphs(data: Path, language: str, least: int = 120) -> Iterator[Passage]:
    """Return the paragraphs of a Wikipedia extract that have at least `least` characters."""
    for number, text in enumerate(articles(data, language, 1 << 30, 300)):
        for place, part in enumerate(text.split("\n")):
            if len(part) >= least:
                yield Passage(f"{language}-{number}-{place}", "", part, ())


def guide_paragraphs(data: Path, languages: Sequence[str], least: int = 120) -> Iterator[Passage]:
    """Return the paragraphs of the installation guide, which is one book in many languages."""
    with tarfile.open(data / "longdoc" / "debian-installation-guide-txt.tar") as archive:
        for member in archive:
            language = next((x for x in languages if f".{x}." in member.name), "")
            handle = archive.extractfile(member) if language else None
            if handle is None:
                continue
            text = gzip.decompress(handle.read()).decode("utf-8")
            for number, part in enumerate(re.split(r"\n\s*\n", text)):
                if len(part) >= least and sum(c.isalpha() for c in part) > 0.6 * len(part):
                    yield Passage(f"guide-{language}-{number}", "", " ".join(part.split()), ())


def is_latin(text: str) -> bool:
    """Return whether all letters among the first 200 characters are Latin."""
    letters = [c for c in text[:200] if c.isalpha()]
    return all(c < "\u0250" or "LATIN" in unicodedata.name(c, "") for c in letters)


def all_pairs(data: Path) -> list[tuple[str, str]]:
    """Return all pairs, in an order that does not depend on the source."""
    found = [*retrieval_passages(data), *paragraphs(data, "en"), *paragraphs(data, "it")]
    found += guide_paragraphs(data, GUIDES)
    pairs = list(pairs_of(p for p in found if is_latin(p.text)))
    random.Random(0).shuffle(pairs)
    return pairs


def pairs_of(passages: Iterable[Passage]) -> Iterator[tuple[str, str]]:
    """Return (query, passage), every query and every passage once however it is written."""
    taken: set[str] = set()
    for passage in passages:
        if folded(passage.text) in taken:
            continue
        taken.add(folded(passage.text))
        for query in (*passage.questions, passage.title, first_sentence(passage.text)):
            if len(folded(query)) > 2 and folded(query) not in taken:
                taken.add(folded(query))
                yield query, passage.text
                break


def first_sentence(text: str) -> str:
    found = _SENTENCE.match(text)
    return found[0] if found else ""


def write_for_us(pairs: Sequence[tuple[str, str]], out: Path) -> None:
    """Write the pairs as the folder that `make curate` leaves."""
    rows = [
        Pair(q, p, "title-body", "und", "und", "benchmark", document_id=f"d{n:06d}")
        for n, (q, p) in enumerate(pairs)
    ]
    name = "part-00000.parquet"
    part = storage.write_parquet(str(out / "pairs" / name), to_table(rows, PAIR))
    description = {"fingerprint": "benchmark", "config": {}, "inputs": []}
    manifest.publish(str(out / "pairs"), description, [part | {"name": name}])


def write_for_peers(pairs: Sequence[tuple[str, str]], path: Path) -> None:
    """Write the pairs as JSON lines {query, pos}."""
    with path.open("w", encoding="utf-8") as handle:
        for query, passage in pairs:
            row = {"query": query, "pos": [passage]}
            handle.write(json.dumps(row, ensure_ascii=False) + "\n")
