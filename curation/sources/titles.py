"""Which words are the title of a page, without its site's name, and where its text begins."""

from __future__ import annotations

import re
from collections.abc import Iterable

_DIVIDERS = " |｜–—―·•»›:：/-"
_SEPARATOR = re.compile(r"\s+[|–—·•»:\-]+\s+")
_KICKER = 80  # characters before the title on the line that repeats it


def after_title(text: str, title: str) -> str:
    """Return the text behind a line that ends with the title in its first third, else all of it.

    What stands before the headline is navigation, and a body that begins with its own title
    would teach a title-body pair nothing.
    """
    lines = text.split("\n")
    wanted = _folded(title)
    for number, line in enumerate(lines[: 1 + len(lines) // 3]):
        if wanted and _repeats(_folded(line), wanted):
            return "\n".join(lines[number + 1 :]).strip() or text
    return text


def _folded(text: str) -> str:
    return " ".join(text.replace("\u00ad", "").split()).casefold()


def _repeats(line: str, title: str) -> bool:
    """Tell whether a line is the title, or ends with it behind a few words of its own."""
    if line == title:
        return True
    return line.endswith(f" {title}") and len(line) <= len(title) + _KICKER and len(title) > 20


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
