"""Redirects as alternative titles of articles: how they meet, and which are worth a pair.

A redirect knows its article's title, an article's pairs are built where its part is written.
They meet by a hash of the title; a redirect is all text that moves, and it is short.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from curation.records import Document, Reject
from curation.text import one_line

_CODE = re.compile(r"(?:https?:|www\.)|^[A-Z]{1,4}[-_ ]?\d{2,}[\w-]*$|^\W*$", re.IGNORECASE)
_NOT_WORD = re.compile(r"[\W_]+")

REDIRECT = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("language", pa.string()),
        ("title", pa.string()),
        ("target", pa.uint64()),
    ]
)
TITLE = pa.schema([("document", pa.uint64())])


@dataclass(slots=True)
class Redirect:
    """An alternative title of the article whose `title_key` is `target`."""

    id: str
    source: str
    language: str
    title: str
    target: int


def title_key(source: str, language: str | None, title: str) -> int:
    """Return the 64-bit hash under which redirects and articles of one wiki meet.

    Titles are equal as for MediaWiki: spaces for underscores, the first letter in upper case.
    """
    plain = one_line(title.replace("_", " ")).lstrip(": ")
    plain = plain[:1].upper() + plain[1:]
    name = f"{source}\0{language or ''}\0{plain}"
    return xxhash.xxh3_64_intdigest(name.encode("utf-8", "replace"))


def document_title_key(document: Document) -> int:
    """Return the title key of an article."""
    return title_key(document.source, document.declared_language, document.title)


def matches(
    targets: npt.NDArray[np.uint64], titles: npt.NDArray[np.uint64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the index pairs (redirect, title) of equal keys; `titles` must be sorted.

    A title may stand for several documents: versions of one page.
    """
    low = np.searchsorted(titles, targets, "left")
    counts = np.searchsorted(titles, targets, "right") - low
    redirects = np.repeat(np.arange(len(targets)), counts)
    within = np.arange(len(redirects)) - np.repeat(np.cumsum(counts) - counts, counts)
    return redirects, np.repeat(low, counts) + within


def alternative_titles(
    document: Document, redirects: Sequence[Redirect], most: int
) -> Iterator[str | Reject]:
    """Yield at most `most` titles that tell something new, and rejects for the others.

    The order is that of a hash, so that the choice neither depends on the input's order nor
    prefers one end of the alphabet.
    """
    known = {_folded(document.title)}
    kept = 0
    for redirect in sorted(redirects, key=lambda r: (_order(r.title), r.title, r.id)):
        folded = _folded(redirect.title)
        reason = ""
        if _is_code(redirect.title):
            reason = "redirect_is_code"
        elif folded in known:
            reason = "redirect_is_variant"
        elif kept >= most:
            reason = "redirect_over_limit"
        if reason:
            yield rejected(redirect, "write", reason, document.title)
            continue
        known.add(folded)
        kept += 1
        yield redirect.title


def rejected(redirect: Redirect, stage: str, reason: str, value: str = "") -> Reject:
    """Return the reject of a redirect."""
    return Reject(
        redirect.id, stage, reason, redirect.source, redirect.language, value, redirect.title
    )


def _order(title: str) -> bytes:
    return xxhash.xxh3_128_digest(title.encode("utf-8", "replace"))


def _folded(title: str) -> str:
    """Return what is left of a title without case, accents, punctuation and space."""
    letters = unicodedata.normalize("NFKD", title.casefold())
    plain = "".join(c for c in letters if not "\u0300" <= c <= "\u036f")
    return _NOT_WORD.sub("", plain)


def _is_code(title: str) -> bool:
    """Tell whether a title is an address, a number or a code rather than words."""
    letters = sum(c.isalpha() for c in title)
    return letters * 3 < len(title.replace(" ", "")) or bool(_CODE.search(title))
