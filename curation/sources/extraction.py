"""HTML bytes → title, description and main text, by either extractor, bounded in time and memory.

Runs as `python -m curation.sources.extraction EXTRACTOR SECONDS`, the child of `PageReader`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from curation.errors import ConfigError
from curation.sources import html, markup
from curation.sources.html import Page
from curation.sources.sandbox import FailedRequestError, Sandbox, serve

SECONDS = 10.0  # of CPU for one page; the slowest honest page takes about one


class PageReader:
    """Reads pages in a child process; use it in a `with` statement, one for a file."""

    def __init__(self, extractor: str, seconds: float = SECONDS) -> None:
        self._sandbox = Sandbox(__name__, extractor, seconds=seconds)

    def __enter__(self) -> PageReader:
        self._sandbox.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._sandbox.__exit__(*exception)

    def __call__(self, body: bytes, charset: str | None) -> Page | str:
        """Return the page, or the reason why there is none."""
        request = (charset or "").encode() + b"\n" + markup.strip_unread(body)
        try:
            answer = json.loads(self._sandbox.ask(request))
        except FailedRequestError as failure:
            return f"extraction_{failure}"
        return answer if isinstance(answer, str) else Page(**answer)


def read_page(body: bytes, charset: str | None, main_text: html.MainText) -> Page | str:
    """Return the parts of a stripped page, or the reason why it has none."""
    text = markup.decode(body, charset)
    if markup.is_too_deep(text):
        return "page_too_deep"
    page = html.extract(text, main_text)
    return page if page.text.strip() else "no_text"


def main_text_of(extractor: str) -> html.MainText:
    """Return the function that finds the main text of a parsed page."""
    if extractor == "resiliparse":
        return html.resiliparse_text
    try:
        from curation.sources import precise
    except ImportError as error:
        raise ConfigError(
            f"extractor = {extractor!r} cannot be imported ({error}); "
            "pip install -c constraints.txt '.[trafilatura]'"
        ) from error
    return precise.main_text


def _prepare(extractor: str) -> Callable[[bytes], bytes]:
    main_text = main_text_of(extractor)

    def answer(request: bytes) -> bytes:
        charset, _, body = request.partition(b"\n")
        found = read_page(body, charset.decode("ascii", "replace") or None, main_text)
        return json.dumps(found if isinstance(found, str) else asdict(found)).encode()

    return answer


if __name__ == "__main__":
    serve(lambda: _prepare(sys.argv[1]), float(sys.argv[2]))
