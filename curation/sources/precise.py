"""The main text of a page by trafilatura: slower, and less of what is no article."""

from __future__ import annotations

from typing import Any

import trafilatura

from curation.sources.titles import after_title


def main_text(markup: str, tree: Any, title: str) -> str:
    """Return the main text, without comments of readers; "" where none is found.

    `fast` leaves out its second opinions: of 65 news pages 64 came out the same, in 17.5 instead
    of 27.9 ms a page.
    """
    del tree  # it parses for itself
    text = trafilatura.extract(markup, include_comments=False, include_tables=False, fast=True)
    return after_title(text or "", title)
