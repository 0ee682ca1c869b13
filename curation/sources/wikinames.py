"""What differs from wiki to wiki: names of namespaces, redirect words, disambiguation templates.

`mediawiki.toml` holds MediaWiki's own lists for 280+ languages, `wikitext.toml` the rest.
Names are compared in NFC and case-folded, with spaces for underscores.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

_TALKED_ABOUT = ("user", "project", "wikipedia", "file", "image", "mediawiki", "template", "help",
    "category", "portal", "module", "draft", "book", "timedtext")  # fmt: skip
_CANONICAL = (
    "talk",
    "special",
    "media",
    "wp",
    *_TALKED_ABOUT,
    *(f"{n} talk" for n in _TALKED_ABOUT),
)
_FILE_NAMES = ("file", "image", "media")
_REDIRECT_LINK = re.compile(r"\s*:?\s*\[\[\s*:?([^\[\]|\n]{1,300})(?:\|[^\[\]\n]*)?\]\]")


@dataclass(frozen=True, slots=True)
class Site:
    """What a wiki's language changes in its markup; all names folded (`fold`)."""

    language: str
    dropped_prefixes: frozenset[str]
    """Names of the file and category namespaces: links into them leave no text."""
    residue: re.Pattern[str] = field(repr=False, compare=False)
    """Lines that name a file or category outside of any link."""
    disambiguation: re.Pattern[str] = field(repr=False, compare=False)
    """A template that marks a page as a list of meanings."""


def fold(name: str) -> str:
    """Return a name as names are compared."""
    return unicodedata.normalize("NFC", name.strip().replace("_", " ")).casefold()


@cache
def data(name: str) -> dict[str, Any]:
    """Return a TOML file of this folder."""
    resource = files("curation.sources").joinpath(name)
    return tomllib.loads(resource.read_text(encoding="utf-8"))


def words(table: str, language: str) -> list[str]:
    """Return the words of a language and of the languages it falls back on, nearest first."""
    facts = data("mediawiki.toml")
    found: list[str] = []
    seen: list[str] = []
    queue = [language]
    while queue:
        code = queue.pop(0)
        if code in seen:
            continue
        seen.append(code)
        found += facts[table].get(code, [])
        queue += facts["fallbacks"].get(code, [])
    return list(dict.fromkeys(fold(word) for word in found))


@cache
def site_for(language: str, namespace_names: frozenset[str] = frozenset()) -> Site:
    """Return the site of a language; `namespace_names`: File and Category as a dump names them."""
    code = language.lower()
    pictures = {*_FILE_NAMES, *words("files", code)}
    categories = {"category", *words("categories", code)}
    own = {fold(name) for name in namespace_names}
    marks = data("wikitext.toml")["disambiguation"]
    names = {*marks["en"], *marks.get(code.partition("-")[0], []), *marks.get(code, [])}
    return Site(
        language,
        frozenset(pictures | categories | own),
        re.compile(
            rf"^[\[ *:]*(?:(?:{_any_of(pictures | own)})[ ]*:[^\n|]*\.[a-zA-Z]{{3,4}}\b"
            rf"|(?:{_any_of(categories)})[ ]*:).*$",
            re.MULTILINE | re.IGNORECASE,
        ),
        re.compile(rf"\{{\{{\s*(?:{_any_of(names)})\s*[|}}]", re.IGNORECASE),
    )


@cache
def all_categories() -> frozenset[str]:
    """Return the folded names of the category namespace in all languages."""
    found = (name for names in data("mediawiki.toml")["categories"].values() for name in names)
    return frozenset({"category", *(fold(name) for name in found)})


def _any_of(names: set[str]) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=lambda n: (-len(n), n)))


@cache
def _redirect_mark() -> re.Pattern[str]:
    found = {fold(word) for group in data("mediawiki.toml")["redirects"].values() for word in group}
    return re.compile(rf"\s*[#＃]\s*(?:{_any_of({'redirect', *found})})", re.IGNORECASE)


def redirect_target(text: str) -> str | None:
    """Return what a redirect page points to ("Title" or "Title#Section"), None for other pages.

    The words of all languages count on every wiki: pages are copied between them.
    """
    mark = _redirect_mark().match(unicodedata.normalize("NFC", text[:100]))
    if mark is None:
        return None
    link = _REDIRECT_LINK.search(text[:500])
    return link[1].replace("_", " ").strip() if link else None


@cache
def namespaces(names: frozenset[str] = frozenset()) -> frozenset[str]:
    """Return the folded names of all namespaces but the articles', next to a dump's own ones."""
    return frozenset({*_CANONICAL, *(fold(name) for name in names)})


def in_namespace(title: str, names: frozenset[str]) -> bool:
    """Tell whether a title lies outside of the articles by its prefix."""
    prefix, colon, _ = title.partition(":")
    return bool(colon) and fold(prefix) in names


@cache
def apparatus_headings() -> frozenset[str]:
    """Return the case-folded headings of sections that hold references and links, not text."""
    lists = data("wikitext.toml")["apparatus_headings"].values()
    return frozenset(heading.casefold() for headings in lists for heading in headings)
