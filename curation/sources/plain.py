"""Pages that come as plain text (WET, CCNet): their title, and the prose between the menus."""

from __future__ import annotations

import re

from curation.sources.c4 import split_title
from curation.sources.html import after_title, without_site
from curation.text import one_line

_SEPARATOR = re.compile(r"\s+[|–—·•»:\-]+\s+")
_HEAD_LINES = 300  # a headline is looked for among so many lines
_PROSE = 60  # characters of a line that is no menu entry; a script without spaces needs 25
_PROSE_UNSPACED = 25
_UNSPACED = re.compile(r"[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_ENDS = tuple('.!?…。！？।॥؟။։"”»')


def titled(text: str, title: str = "") -> tuple[str, str]:
    """Return (title, body) of a page's text; ("", text) when no line reads like a title.

    The title is `title` or else the first line, without the name of the site; the body begins
    behind a line that repeats it and has no menus before or after its prose.
    """
    title, body = (one_line(title), text) if title.strip() else split_title(text)
    if not title:
        return "", text
    own = own_title(title, body)
    return own, prose(after_title(body, own))


def own_title(title: str, body: str) -> str:
    """Return the part of a page title that is a line of the page, else all but the site.

    "Harbour - The Free Encyclopedia" is "Harbour" where a line of `body` says "Harbour".
    """
    lines = {one_line(line).casefold() for line in body.split("\n", _HEAD_LINES)[:_HEAD_LINES]}
    for cut in reversed(list(_SEPARATOR.finditer(title))):
        if title[: cut.start()].casefold() in lines:
            return title[: cut.start()]
    return title if title.casefold() in lines else without_site(title)


def prose(text: str) -> str:
    """Return a text without the short lines before its first line of prose and after its last.

    Prose is a long line, or one that ends like a sentence; a text without any is left as it is.
    """
    lines = text.split("\n")
    found = [number for number, line in enumerate(lines) if _is_prose(line.strip())]
    return "\n".join(lines[found[0] : found[-1] + 1]).strip() if found else text


def _is_prose(line: str) -> bool:
    least = _PROSE_UNSPACED if _UNSPACED.search(line) else _PROSE
    return len(line) >= least or (line.endswith(_ENDS) and len(line) * 2 >= least)
