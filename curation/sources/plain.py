"""Pages that come as plain text (WET, CCNet): their title, and the prose between the menus."""

from __future__ import annotations

import re

from curation.sources.c4 import split_title
from curation.sources.prose import prose
from curation.sources.titles import after_title, without_site
from curation.text import one_line

_SEPARATOR = re.compile(r"\s+[|–—·•»:\-]+\s+")
_HEAD_LINES = 300  # a headline is looked for among so many lines


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
