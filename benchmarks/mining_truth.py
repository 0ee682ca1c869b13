"""Questions with known answers among passages that must not be mined: planted, from real text.

Each kind plants texts that answer a question as its positive does: copies in another case, spacing
and punctuation; near duplicates, a few words changed; translations and other wordings of the same
sentence; and passages that may answer it: of the positive's document, and under its title.
"""

from __future__ import annotations

import random
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.mining_pairs import first_sentence, folded, passages_of
from benchmarks.near_duplicates import edited, tokens_of
from benchmarks.real_texts import articles

LANGUAGES = ("fra", "spa", "ita", "por", "eng-GB")


@dataclass(frozen=True)
class Case:
    """A question, the passage that answers it, and what must not be mined for it."""

    kind: str
    query: str
    positive: str
    planted: tuple[str, ...]
    title: str = ""
    document: str = ""
    parallel: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Pairs of translations that are known."""


def copies(data: Path, count: int) -> Iterator[Case]:
    """Passages once more in capitals, with other spaces, with other punctuation."""
    for passage in list(passages_of(data / "retrieval/eval/xquad-en"))[:count]:
        text = passage.text
        planted = (
            text.upper(),
            text.replace(" ", "  "),
            text.replace(". ", " . ").replace(",", ""),
        )
        yield Case("copy", passage.questions[0], text, planted)


def near_duplicates(data: Path, count: int) -> Iterator[Case]:
    """Passages with one word in a hundred deleted, and with one replaced."""
    draw = random.Random(1)
    found = list(passages_of(data / "retrieval/eval/xquad-en"))[count : 2 * count]
    pool = [token for passage in found for token in tokens_of(passage.text)]
    for passage in found:
        kinds = ("delete", "replace")
        planted = tuple(edited(passage.text, kind, 0.01, pool, draw) for kind in kinds)
        yield Case("near duplicate", passage.questions[0], passage.text, planted)


def translations(data: Path, count: int) -> Iterator[Case]:
    """English sentences whose positive is German: other languages and an English rewording."""
    lines: dict[str, list[str]] = {}
    with tarfile.open(data / "parallel/NTREX-128.tar.xz") as archive:
        for name in ("src.eng", "ref.deu", *(f"ref.{language}" for language in LANGUAGES)):
            handle = archive.extractfile(f"NTREX-128/newstest2019-{name}.txt")
            assert handle is not None
            lines[name] = handle.read().decode("utf-8").splitlines()
    long = [n for n, text in enumerate(lines["src.eng"]) if len(text) > 80]
    for n in long[:: len(long) // count][:count]:
        query, positive, *others = (found[n] for found in lines.values())
        planted = tuple(dict.fromkeys(text for text in others if folded(text) != folded(query)))
        known = tuple((query, text) for text in (positive, *planted))
        yield Case("translation", query, positive, planted, parallel=known)


def same_title(data: Path, count: int) -> Iterator[Case]:
    """Passages of one article: those under the positive's title."""
    titles: dict[str, list[str]] = {}
    found = list(passages_of(data / "retrieval/eval/afriqa-test-swa_en"))
    for passage in found:
        titles.setdefault(passage.title, []).append(passage.text)
    asked = [p for p in found if p.questions and 1 < len(titles[p.title]) < 30]
    for passage in asked[:count]:
        planted = tuple(text for text in titles[passage.title] if text != passage.text)
        yield Case("same title", passage.questions[0], passage.text, planted, title=passage.title)


def same_document(data: Path, count: int) -> Iterator[Case]:
    """Paragraphs of one article, asked for by the positive's first sentence."""
    for number, text in enumerate(articles(data, "it", count, 3000)):
        parts = [part for part in text.split("\n") if len(part) > 200][:8]
        own = next((p for p in parts if 20 < len(first_sentence(p)) < len(p) - 100), None)
        if own is None or len(parts) < 2:
            continue
        query = first_sentence(own)
        planted = tuple(part for part in parts if part != own)
        positive = own[len(query) :].strip()
        yield Case("same document", query, positive, planted, document=f"article-{number}")


def all_cases(data: Path, count: int) -> list[Case]:
    """Return `count` cases of each kind, as far as there are so many."""
    makers = (copies, near_duplicates, translations, same_title, same_document)
    return [case for maker in makers for case in maker(data, count)]


def passages_in(cases: Sequence[Case]) -> list[str]:
    """Return all passages, each once."""
    return list(dict.fromkeys(t for case in cases for t in (case.positive, *case.planted)))
