"""Which pages are no prose about their title: lists of meanings and lists of things."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from curation.sources.wikinames import Site, data
from curation.sources.wikitext import Block

_MOST_LISTED = 0.9  # of 3,000 articles in eight languages, those above are years, days and indexes
_LEAST_PROSE = 500  # characters beside the lists that make a page an article all the same


def reject_reason(title: str, text: str, blocks: Sequence[Block], site: Site) -> str:
    """Return `disambiguation_page` or `list_page`, "" for an article.

    Lists are told by their title ("List of …") or by nine tenths of their text.
    """
    if site.disambiguation.search(text):
        return "disambiguation_page"
    total = sum(len(block.text) for block in blocks)
    prose = total - sum(block.listed for block in blocks)
    is_listed = prose < min(_LEAST_PROSE, (1 - _MOST_LISTED) * total)
    return "list_page" if is_listed or _is_list(title, site.language) else ""


@cache
def _list_titles(language: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return how titles of lists begin, and how they end."""
    tables = data("wikitext.toml")["list_titles"]
    known = tables.get(language) or tables.get(language.partition("-")[0], [])
    marks = [mark.casefold() for mark in known]  # "κατάλογος" folds to "κατάλογοσ"
    begins = tuple(mark for mark in marks if not mark.startswith("@"))
    return begins, tuple(mark[1:] for mark in marks if mark.startswith("@"))


def _is_list(title: str, language: str) -> bool:
    begins, ends = _list_titles(language)
    folded = title.casefold()
    return folded.startswith(begins) or folded.endswith(ends)
