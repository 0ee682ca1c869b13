"""Wikipedia XML dumps → articles and redirects.

A dump is cut at `<page>` and each page is parsed on its own: a malformed page costs itself
only, a truncated dump its last page, memory is bounded by one page, and no document type
declaration (hence no entity expansion) can take effect inside a fragment.

A page belongs to the split in which its `<page>` begins, so splits of any size give the same
pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

from curation.records import Reject
from curation.sources import pagetypes, wikinames, wikitext
from curation.sources.raw import RawDocument, RawRedirect, RawSection
from curation.sources.streams import Bounds

MAX_PAGE = 32 << 20
_CHUNK = 1 << 20
_MAX_HEAD = 1 << 20
_OPEN, _CLOSE = b"<page>", b"</page>"
_XML_INVALID = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_NAMESPACE = re.compile(r'<namespace key="(-?\d+)"[^>]*>([^<]+)<')


@dataclass(frozen=True, slots=True)
class SiteInfo:
    """What the head of a dump says of its wiki."""

    language: str
    host: str
    namespaces: frozenset[str]
    """Folded names of all namespaces but the articles'."""
    site: wikinames.Site


def read_head(stream: IO[bytes]) -> bytes:
    """Return what stands before the first page, at most 1 MiB."""
    head = bytearray()
    while len(head) < _MAX_HEAD and (chunk := stream.read(1 << 14)):
        head += chunk
        if (end := head.find(_OPEN)) >= 0:
            return bytes(head[:end])
    return bytes(head)


def read_articles(
    stream: IO[bytes],
    source: str,
    declared: str | None,
    bounds: Bounds | None = None,
    head: bytes | None = None,
) -> Iterator[RawDocument | RawRedirect | Reject]:
    """Yield the articles (namespace 0) and redirects of a dump, and rejects for broken pages.

    `declared` is the language from the config; None takes the dump's own `xml:lang`. A split
    that begins inside a dump is given the dump's `head` and the `bounds` of its stream.
    """
    info = None if head is None else _site_info(head, declared)
    for kind, block in _Blocks(stream, bounds or Bounds(), head is not None):
        if info is None:
            info = _site_info(block if kind == "head" else b"", declared)
        if kind == "page":
            yield from _page(block, info, source)
        elif kind != "head":
            identity = f"{source}:{info.language}:{_title_in(block[:2000])}"
            yield Reject(identity, "extract", kind, source, info.language)


class _Blocks:
    """Iterates over a dump's ("head", bytes before the first page), then its pages.

    Too long and unfinished ones come as ("page_too_large" / "truncated_page", their beginning).
    """

    def __init__(self, stream: IO[bytes], bounds: Bounds, head_done: bool) -> None:
        self._stream = stream
        self._bounds = bounds
        self._head_done = head_done
        self._buffer = bytearray()
        self._base = 0  # of the buffer in the stream
        self._ended = False

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        chunk = b"-"
        while chunk and not self._ended:
            chunk = self._stream.read(_CHUNK)
            self._buffer += chunk
            yield from self._complete()
            if len(self._buffer) > MAX_PAGE:
                yield "page_too_large", bytes(self._buffer[:2000])
                self._head_done = True
                self._drop(len(self._buffer) - len(_OPEN) + 1)
        if self._head_done and not self._ended and self._buffer.startswith(_OPEN):
            yield "truncated_page", bytes(self._buffer[:2000])

    def _complete(self) -> Iterator[tuple[str, bytes]]:
        """Yield what ends inside the buffer and drop it."""
        position = 0
        while (begin := self._buffer.find(_OPEN, position)) >= 0:
            if self._bounds.is_past(self._base + begin):
                self._ended = True
                return
            if not self._head_done:
                yield "head", bytes(self._buffer[:begin])
                self._head_done = True
            kind, position = self._end(begin)
            if not kind:
                self._drop(begin)
                return
            shown = position if kind == "page" else min(position, begin + 2000)
            yield kind, bytes(self._buffer[begin:shown])
        if self._head_done:
            self._drop(max(position, len(self._buffer) - len(_OPEN) + 1))
            self._ended = self._bounds.is_past(self._base)

    def _end(self, begin: int) -> tuple[str, int]:
        """Return ("page", its end); a page that was cut short does not take the next one along."""
        following = self._buffer.find(_OPEN, begin + 1)
        end = self._buffer.find(_CLOSE, begin, following if following >= 0 else len(self._buffer))
        kind, end = ("page", end + len(_CLOSE)) if end >= 0 else ("truncated_page", following)
        if end < 0:
            return "", end
        lost = self._bounds.first_break(self._base + begin, self._base + end)
        return ("truncated_page", lost - self._base) if lost else (kind, end)

    def _drop(self, count: int) -> None:
        count = max(0, count)
        del self._buffer[:count]
        self._base += count


def _title_in(block: bytes) -> str:
    title = re.search(rb"<title>([^<]*)", block)
    return title[1].decode("utf-8", "replace") if title else "?"


def _site_info(head: bytes, declared: str | None) -> SiteInfo:
    text = head.decode("utf-8", "replace")
    language = re.search(r'xml:lang="([^"]+)"', text)
    base = re.search(r"<base>([^<]+)</base>", text)
    names = _NAMESPACE.findall(text)
    code = declared or (language[1] if language else "und")
    host = urlsplit(base[1]).netloc if base else f"{code}.wikipedia.org"
    dropped = frozenset(name for key, name in names if key in ("-2", "6", "14"))
    spaces = wikinames.namespaces(frozenset(name for key, name in names if key != "0"))
    return SiteInfo(code, host, spaces, wikinames.site_for(code, dropped))


def _page(
    block: bytes, info: SiteInfo, source: str
) -> Iterator[RawDocument | RawRedirect | Reject]:
    try:
        page = ET.fromstring(_XML_INVALID.sub(b"", block))  # noqa: S314 - see the module's head
    except ET.ParseError as error:
        identity = f"{source}:{info.language}:{_title_in(block)}"
        yield Reject(identity, "extract", "malformed_xml", source, info.language, str(error))
        return
    title = (page.findtext("title") or "").strip()
    space = page.findtext("ns")
    if space is None:  # dumps before 2012 do not tell
        space = "1" if wikinames.in_namespace(title, info.namespaces) else "0"
    if space != "0" or page.findtext("revision/model", "wikitext") != "wikitext":
        return
    identity = f"{source}:{info.language}:{page.findtext('id', '') or title}"
    text = page.findtext("revision/text") or ""
    target = wikinames.redirect_target(text)
    element = page.find("redirect")
    if target is not None or element is not None:
        target = target or (element.get("title") if element is not None else "") or ""
        yield _redirect(RawRedirect(identity, title, target, info.language), info, source)
    else:
        yield _article(page, text, title, identity, info, source)


def _redirect(redirect: RawRedirect, info: SiteInfo, source: str) -> RawRedirect | Reject:
    reason = ""
    if not redirect.target:
        reason = "redirect_without_target"
    elif "#" in redirect.target:
        reason = "redirect_to_section"
    elif wikinames.in_namespace(redirect.target, info.namespaces):
        reason = "redirect_to_namespace"
    if not reason:
        return redirect
    value = f"{redirect.title} → {redirect.target}"[:300]
    return Reject(redirect.id, "extract", reason, source, info.language, value)


def _article(
    page: ET.Element, text: str, title: str, identity: str, info: SiteInfo, source: str
) -> RawDocument | Reject:
    blocks = wikitext.parse(text, info.site, title)
    reason = pagetypes.reject_reason(title, text, blocks, info.site) if title and blocks else ""
    if not title or not blocks:
        reason = "no_title" if not title else "no_text"
    if reason:
        return Reject(identity, "extract", reason, source, info.language, title, text[:200])
    return RawDocument(
        id=identity,
        title=title,
        sections=[RawSection(b.heading, b.level, b.text) for b in blocks],
        abstract=blocks[0].text if not blocks[0].heading else "",
        url=f"https://{info.host}/wiki/{quote(title.replace(' ', '_'))}",
        date=page.findtext("revision/timestamp", "")[:10],
        language=info.language,
    )
