"""One HTML page → title, description and main text (resiliparse)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from curation.text import unescape

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
    """Return the main text of a parsed page by resiliparse."""
    del markup
    return str(
        extract_plain_text(
            tree, main_content=True, alt_texts=False, links=False, form_fields=False, noscript=False
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
    headings = [h1.text or "" for h1 in document.get_elements_by_tag_name("h1")]
    open_graph = _meta(document, "property", "og:title")
    title = unescape(choose_title(open_graph, headings, tree.title or ""))
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


def without_site(title: str) -> str:
    """Return a title without its last separated piece, if short and at most half of the rest."""
    cuts = list(_SEPARATOR.finditer(title))
    if not cuts:
        return title
    head, tail = title[: cuts[-1].start()], title[cuts[-1].end() :]
    return head if len(tail) <= 40 and 2 * len(tail) <= len(head) else title
