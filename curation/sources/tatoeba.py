"""Tatoeba's exports (`sentences.csv`: id, language, text; `links.csv`: id, id) → translations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from curation.language_codes import canonical_code
from curation.records import Reject
from curation.sources.bitext import Bitext
from curation.sources.joins import BLOCK, blocks
from curation.sources.lines import read_lines
from curation.sources.opener import Opener
from curation.sources.raw import RawTranslation

Link = tuple[bytes, bytes]
Sentence = tuple[str, str]


def read_links(
    opener: Opener, sentences: str, links: str, bitext: Bitext, block: int = BLOCK
) -> Iterator[RawTranslation | Reject]:
    """Yield a translation per link, of sentences in the bitext's languages (None: in any).

    Each link stands in the export in both directions; it is taken once. The sentences are read
    once for every `block` links.
    """
    with opener.open(links) as stream:
        for number, listed in enumerate(blocks(_links(stream, bitext), block)):
            rejects = [item for item in listed if isinstance(item, Reject)]
            yield from rejects
            wanted = [item for item in listed if not isinstance(item, Reject)]
            found: dict[bytes, Sentence] = {}
            needed = {i for link in wanted for i in link}
            for item in _sentences(opener, sentences, needed, bitext):
                if isinstance(item, tuple):
                    found[item[0]] = item[1]
                elif number == 0:  # a damaged line is met in every reading, and counted once
                    yield item
            yield from _translations(wanted, found, bitext)


def _links(stream: IO[bytes], bitext: Bitext) -> Iterator[Link | Reject]:
    for number, line in enumerate(read_lines(stream)):
        first, tab, second = (line or b"").partition(b"\t")
        if not (tab and first.isdigit() and second.isdigit()):
            if line != b"":
                yield bitext.reject(f"link-{number}", "malformed_link")
        elif int(first[:18]) < int(second[:18]):
            yield first, second


def _sentences(
    opener: Opener, path: str, needed: set[bytes], bitext: Bitext
) -> Iterator[tuple[bytes, Sentence] | Reject]:
    languages = {bitext.language, bitext.translation_language} - {None}
    with opener.open(path) as stream:
        for number, line in enumerate(read_lines(stream)):
            cells = (line or b"").split(b"\t", 2)
            if len(cells) < 3:
                if line != b"":
                    reason = "missing_columns" if line else "line_too_long"
                    yield bitext.reject(f"sentence-{number}", reason)
                continue
            identity, code, text = cells
            if identity not in needed:
                continue
            language = canonical_code(code.decode("ascii", "replace"))
            if len(languages) < 2 or language in languages:
                yield identity, (language, text.decode("utf-8", "replace"))


def _translations(
    links: list[Link], found: dict[bytes, Sentence], bitext: Bitext
) -> Iterator[RawTranslation | Reject]:
    for first, second in links:
        if first not in found or second not in found:
            continue  # of another language, or deleted since
        sides = _ordered(found[first], found[second], bitext)
        if sides is None:
            continue
        (language, text), (other, translation) = sides
        number = f"{first.decode()}-{second.decode()}"
        if "\ufffd" in text + translation:
            yield bitext.reject(number, "undecodable", excerpt=translation)
            continue
        yield RawTranslation(text, translation, language, other, bitext.identity(number))


def _ordered(first: Sentence, second: Sentence, bitext: Bitext) -> tuple[Sentence, Sentence] | None:
    """Return the sides as the bitext's languages order them; None for those of other languages."""
    if first[0] == second[0]:
        return None  # a variant, no translation
    for source, target in ((first, second), (second, first)):
        if bitext.language in (None, source[0]) and bitext.translation_language in (
            None,
            target[0],
        ):
            return source, target
    return None
