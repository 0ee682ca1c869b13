"""The main text of a page by trafilatura: slower, and less of what is no article."""

from __future__ import annotations

from typing import Any

import trafilatura


def main_text(markup: str, tree: Any) -> str:
    """Return the main text, without comments of readers; "" where none is found."""
    del tree  # it parses for itself
    return trafilatura.extract(markup, include_comments=False, include_tables=False) or ""
