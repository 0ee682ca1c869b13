"""Which pages are no prose about their title: lists of meanings and lists of things."""

from __future__ import annotations

from functools import cache

from curation.sources.wikinames import Site, data


def reject_reason(title: str, text: str, site: Site) -> str:
    """Return `disambiguation_page` or `list_page`, "" for an article.

    Lists are told by their title ("List of …") alone: articles may hold long lists too.
    """
    if site.disambiguation.search(text):
        return "disambiguation_page"
    return "list_page" if _is_list(title, site.language) else ""


@cache
def _list_titles(language: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return how titles of lists begin, and how they end."""
    tables = data("wikitext.toml")["list_titles"]
    known = tables.get(language) or tables.get(language.partition("-")[0], [])
    begins = tuple(mark for mark in known if not mark.startswith("@"))
    return begins, tuple(mark[1:] for mark in known if mark.startswith("@"))


def _is_list(title: str, language: str) -> bool:
    begins, ends = _list_titles(language)
    folded = title.casefold()
    return folded.startswith(begins) or folded.endswith(ends)
