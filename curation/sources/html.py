"""One HTML page → title, description and main text (resiliparse)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from curation.sources.prose import better, is_doubtful, prose
from curation.sources.titles import after_title, choose_title, without_host, without_name
from curation.text import unescape

MainText = Callable[[str, Any, str], str]  # (markup, parsed tree, title) → main text


@dataclass(frozen=True, slots=True)
class Page:
    """What is read from a page; a missing part is an empty string."""

    title: str
    description: str
    text: str
    language: str


def resiliparse_text(markup: str, tree: Any, title: str) -> str:
    """Return the main text of a parsed page by resiliparse, without what is no prose.

    The choice of the main content errs on some pages (3 of 258 news pages lost nearly all):
    where little came out, the prose of the whole page is taken if there is much more of it.
    """
    del markup
    main = prose(after_title(_plain_text(tree, main_content=True), title))
    if is_doubtful(main):
        whole = after_title(_plain_text(tree, main_content=False), title)
        main = better(main, prose(whole))
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
    text = main_text(markup, tree, title)
    return Page(title, description.strip(), text, (root.getattr("lang") or "") if root else "")


def _meta(document: Any, attribute: str, value: str) -> str:
    """Return the content of the first such `<meta>` (a selector: walking costs 5x more)."""
    element = document.query_selector(f'meta[{attribute}="{value}"]')
    return (element.getattr("content") or "") if element else ""


def _host(url: str) -> str:
    """Return the letters and digits of an address's host."""
    return "".join(filter(str.isalnum, url.partition("://")[2].partition("/")[0].casefold()))
