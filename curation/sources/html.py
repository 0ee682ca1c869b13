"""One HTML page → title, description and main text (resiliparse)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from curation.sources.prose import better, is_doubtful, prose
from curation.text import unescape

_DIVIDERS = " |｜–—―·•»›:：/-"
_SEPARATOR = re.compile(r"\s+[|–—·•»:\-]+\s+")


MainText = Callable[[str, Any], str]  # (markup, parsed tree) → main text


@dataclass(frozen=True, slots=True)
class Page:
    """What is read from a page; a missing part is an empty string."""

    title: str
    description: str
    text: str
    language: str


def resiliparse_text(markup: str, tree: Any) -> str:
    """Return the main text of a parsed page by resiliparse, without what is no prose.

    The choice of the main content errs on some pages (4 of 258 news pages lost nearly all):
    where little came out, the prose of the whole page is taken if there is much more of it.
    """
    del markup
    main = prose(_plain_text(tree, main_content=True))
    if is_doubtful(main):
        main = better(main, prose(_plain_text(tree, main_content=False)))
    return main


def _plain_text(tree: Any, *, main_content: bool) -> str:
    return str(
        extract_plain_text(
            tree,
            main_content=main_content,
            alt_texts=False,
            links=False,
            form_fields=False,
            noscript=False,
            comments=False,
        )
    )


def extract(markup: str, main_text: MainText = resiliparse_text) -> Page:
    """Return title, description, main text and declared language of a page."""
    tree = HTMLTree.parse(markup)
    document = tree.document
    if document is None:
        return Page("", "", "", "")
    text = main_text(markup, tree)
    root = document.query_selector("html")
    headings = [h1.text or "" for h1 in document.query_selector_all("h1")]
    open_graph = _meta(document, "property", "og:title")
    site = _meta(document, "property", "og:site_name")
    host = _host(_meta(document, "property", "og:url"))
    candidates = (
        without_host(without_name(text, site), host) for text in (open_graph, tree.title or "")
    )
    title = unescape(choose_title(next(candidates), headings, next(candidates)))
    description = _meta(document, "property", "og:description")
    description = unescape(description or _meta(document, "name", "description"))
    text = after_title(text, title)
    return Page(title, description.strip(), text, (root.getattr("lang") or "") if root else "")


def _meta(document: Any, attribute: str, value: str) -> str:
    """Return the content of the first such `<meta>` (a selector: walking costs 5x more)."""
    element = document.query_selector(f'meta[{attribute}="{value}"]')
    return (element.getattr("content") or "") if element else ""


def after_title(text: str, title: str) -> str:
    """Return the text behind a line that repeats the title in its first third, else all of it.

    What stands before the headline is navigation, and a body that begins with its own title
    would teach a title-body pair nothing.
    """
    lines = text.split("\n")
    wanted = " ".join(title.split()).casefold()
    for number, line in enumerate(lines[: 1 + len(lines) // 3]):
        if wanted and " ".join(line.split()).casefold() == wanted:
            return "\n".join(lines[number + 1 :]).strip() or text
    return text


def choose_title(open_graph: str, headings: Iterable[str], page_title: str) -> str:
    """Return the page's own title: og:title, else a lone h1, else `<title>`; no site suffix.

    A piece behind " | " or " - " is a site name when another candidate does without it, or
    when it is the shorter end of `<title>`.
    """
    candidates = [" ".join(c.split()) for c in (open_graph, page_title)]
    h1 = [" ".join(h.split()) for h in headings]
    lone = h1[0] if len(h1) == 1 else ""
    for text in candidates:
        if lone and text.startswith(lone) and _SEPARATOR.match(text[len(lone) :]):
            return lone
    if candidates[0]:
        shared = candidates[1].startswith(candidates[0])
        return candidates[0] if shared else without_site(candidates[0])
    return lone or without_site(candidates[1])


def without_name(title: str, site: str) -> str:
    """Return a title without the name of its site at its end or beginning and what divides them."""
    title, site = " ".join(title.split()), " ".join(site.split())
    for name in filter(None, (site, site.split("|")[0].strip())):
        if title.casefold().endswith(name.casefold()):
            rest = title[: -len(name)].rstrip()
            if rest.rstrip(_DIVIDERS) != rest:
                return rest.rstrip(_DIVIDERS) or title
        if title.casefold().startswith(name.casefold()):
            rest = title[len(name) :].lstrip()
            if rest[:1] in "|–—·•»-":
                return rest.lstrip(_DIVIDERS) or title
    return title


def _host(url: str) -> str:
    """Return the letters and digits of an address's host."""
    return "".join(filter(str.isalnum, url.partition("://")[2].partition("/")[0].casefold()))


def without_host(title: str, host: str) -> str:
    """Return a title without a last piece that spells its host ("… | The Post")."""
    cut = next(reversed(list(_SEPARATOR.finditer(title))), None)
    tail = "".join(filter(str.isalnum, title[cut.end() :].casefold())) if cut else ""
    return title[: cut.start()] if cut and len(tail) > 2 and tail in host else title


def without_site(title: str) -> str:
    """Return a title without its last separated piece, if short and at most half of the rest."""
    cuts = list(_SEPARATOR.finditer(title))
    if not cuts:
        return title
    head, tail = title[: cuts[-1].start()], title[cuts[-1].end() :]
    return head if len(tail) <= 40 and 2 * len(tail) <= len(head) else title
