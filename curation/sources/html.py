"""One HTML page → title, description and main text (resiliparse)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5
from resiliparse.parse.html import HTMLTree

from curation.text import unescape

MAX_DEPTH = 2000  # extraction is quadratic in the nesting of blocks: 0.15 s here, 17 s at 20,000

_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w:-]+)", re.IGNORECASE)
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_BLOCK_TAG = re.compile(
    r"<(/?)(?:div|section|article|main|header|footer|nav|aside|figure|fieldset|details|address|"
    r"ul|ol|dl|menu|dir|table|blockquote|center|form)\b",
    re.IGNORECASE,
)
_SEPARATOR = re.compile(r"\s+[|–—·•»:\-]+\s+")


@dataclass(frozen=True, slots=True)
class Page:
    """What is read from a page; a missing part is an empty string."""

    title: str
    description: str
    text: str
    language: str


def decode(body: bytes, header_charset: str | None) -> str:
    """Decode a page: by byte-order mark, HTTP header, `<meta>`, then by its bytes.

    A declaration that the bytes contradict is passed over; undecodable bytes become U+FFFD.
    """
    for mark, encoding in _BOMS:
        if body.startswith(mark):
            return body[len(mark) :].decode(encoding, "replace")
    meta = _META_CHARSET.search(body[:4096])
    declared = (header_charset, meta[1].decode("ascii") if meta else None, "utf-8")
    for name in declared:
        if name and (text := _strict(body, name)) is not None:
            return text
    return body.decode(detect_encoding(body) or "utf-8", "replace")


def _strict(body: bytes, name: str) -> str | None:
    try:
        return body.decode(map_encoding_to_html5(name, fallback_utf8=False) or name)
    except (LookupError, UnicodeDecodeError, ValueError):
        return None


def is_too_deep(html: str) -> bool:
    """Tell whether blocks nest deeper than `MAX_DEPTH`, counted by their tags."""
    if html.count("<") <= MAX_DEPTH:
        return False
    depth = 0
    for match in _BLOCK_TAG.finditer(html):
        depth = max(0, depth - 1) if match[1] else depth + 1
        if depth > MAX_DEPTH:
            return True
    return False


def extract(html: str) -> Page:
    """Return title, description, main text and declared language of a page."""
    tree = HTMLTree.parse(html)
    document = tree.document
    if document is None:
        return Page("", "", "", "")
    text = extract_plain_text(
        tree, main_content=True, alt_texts=False, links=False, form_fields=False, noscript=False
    )
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
        return candidates[0] if shared else _without_suffix(candidates[0])
    return lone or _without_suffix(candidates[1])


def _without_suffix(title: str) -> str:
    """Cut the last separated piece when it is short and at most half of the rest."""
    cuts = list(_SEPARATOR.finditer(title))
    if not cuts:
        return title
    head, tail = title[: cuts[-1].start()], title[cuts[-1].end() :]
    return head if len(tail) <= 40 and 2 * len(tail) <= len(head) else title
